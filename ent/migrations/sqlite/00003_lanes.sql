-- +goose Up
DROP INDEX `chat_queue_id_last_message_at`;
CREATE INDEX `chat_status_last_message_at_id` ON `chats` (`status`, `last_message_at`, `id`);
