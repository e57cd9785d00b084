-- +goose Up
ALTER TABLE "channels" ADD COLUMN "greeting" character varying NOT NULL DEFAULT '';
