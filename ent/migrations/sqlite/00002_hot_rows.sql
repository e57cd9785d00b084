-- +goose Up
-- What each message changes is in one row, and that row is in fewer indexes.
ALTER TABLE `chats` ADD COLUMN `last_inbound_at` datetime NULL;
UPDATE `chats` SET `last_inbound_at` = (SELECT i.`last_inbound_at` FROM `identities` i WHERE i.`id` = `chats`.`identity_id`)
  WHERE `status` <> 'COMPLETED';
ALTER TABLE `identities` DROP COLUMN `last_inbound_at`;
DROP INDEX `chat_identity_id_opened_at`;
CREATE INDEX `chat_completed` ON `chats` (`identity_id`, `opened_at`) WHERE status = 'COMPLETED';
DROP INDEX `chat_channel_id_status`;
CREATE INDEX `chat_unrouted` ON `chats` (`channel_id`) WHERE queue_id IS NULL AND status = 'WAITING';
DROP INDEX `chat_operator_id_status`;
CREATE INDEX `chat_in_progress` ON `chats` (`operator_id`) WHERE status = 'IN_PROGRESS';
DROP INDEX `chat_queue_id_last_message_at`;
DROP INDEX `event_at`;
DROP INDEX `message_channel_id_external_id`;
CREATE UNIQUE INDEX `message_external` ON `messages` (`channel_id`, `external_id`) WHERE external_id IS NOT NULL;
