-- +goose Up
ALTER TABLE `channels` ADD COLUMN `login_user` text NOT NULL DEFAULT ('');
CREATE TABLE `data_deletions` (`id` uuid NOT NULL, `code_hash` blob NOT NULL, `created_at` datetime NOT NULL, PRIMARY KEY (`id`));
CREATE UNIQUE INDEX `data_deletions_code_hash_key` ON `data_deletions` (`code_hash`);
