-- +goose Up
ALTER TABLE "channels" ADD COLUMN "archived_at" timestamptz NULL;
