-- +goose Up
ALTER TABLE `channels` ADD COLUMN `greeting` text NOT NULL DEFAULT ('');
