-- +goose Up
CREATE TABLE `audit_entries` (`id` uuid NOT NULL, `operator_id` uuid NULL, `client_id` uuid NULL, `action` text NOT NULL, `subject` text NOT NULL, `before` text NULL, `after` text NULL, `created_at` datetime NOT NULL, PRIMARY KEY (`id`));
CREATE INDEX `auditentry_created_at_id` ON `audit_entries` (`created_at`, `id`);
