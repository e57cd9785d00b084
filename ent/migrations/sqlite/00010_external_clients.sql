-- +goose Up
ALTER TABLE `api_clients` ADD COLUMN `external_client_id` text NULL;
CREATE UNIQUE INDEX `api_clients_external_client_id_key` ON `api_clients` (`external_client_id`);
