-- +goose Up
-- As on PostgreSQL, where it spares the indexes.
ALTER TABLE `chats` ADD COLUMN `last_minute` datetime
  GENERATED ALWAYS AS (substr(`last_message_at`, 1, 16) || ':00+00:00') VIRTUAL;
DROP INDEX `chat_last_message_at_id`;
CREATE INDEX `chat_last_minute` ON `chats` (`last_minute`);
DROP INDEX `chat_queue_id_status_last_message_at`;
CREATE INDEX `chat_lanes` ON `chats` (`queue_id`, `status`, `last_minute`);
