-- +goose Up
CREATE TABLE `api_clients` (`id` uuid NOT NULL, `name` text NOT NULL, `role` text NOT NULL, `scopes` json NOT NULL, `secret_hash` blob NOT NULL, `last_used_at` datetime NULL, `revoked_at` datetime NULL, `created_at` datetime NOT NULL, `version` integer NOT NULL DEFAULT (1), `created_by` uuid NULL, PRIMARY KEY (`id`), CONSTRAINT `api_clients_operators_creator` FOREIGN KEY (`created_by`) REFERENCES `operators` (`id`) ON DELETE SET NULL);
CREATE UNIQUE INDEX `api_clients_name_key` ON `api_clients` (`name`);
