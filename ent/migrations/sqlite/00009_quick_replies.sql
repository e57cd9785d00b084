-- +goose Up
CREATE TABLE `quick_replies` (`id` uuid NOT NULL, `name` text NOT NULL, `shortcut` text NULL, `created_at` datetime NOT NULL, `version` integer NOT NULL DEFAULT (1), PRIMARY KEY (`id`));
CREATE UNIQUE INDEX `quick_replies_name_key` ON `quick_replies` (`name`);
CREATE UNIQUE INDEX `quick_replies_shortcut_key` ON `quick_replies` (`shortcut`);
CREATE TABLE `quick_reply_queues` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `quick_reply_id` uuid NOT NULL, `queue_id` uuid NOT NULL, CONSTRAINT `quick_reply_queues_quick_replies_scopes` FOREIGN KEY (`quick_reply_id`) REFERENCES `quick_replies` (`id`) ON DELETE CASCADE, CONSTRAINT `quick_reply_queues_queues_queue` FOREIGN KEY (`queue_id`) REFERENCES `queues` (`id`) ON DELETE NO ACTION);
CREATE UNIQUE INDEX `quickreplyqueue_quick_reply_id_queue_id` ON `quick_reply_queues` (`quick_reply_id`, `queue_id`);
CREATE INDEX `quickreplyqueue_queue_id` ON `quick_reply_queues` (`queue_id`);
CREATE TABLE `quick_reply_texts` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `language` text NOT NULL, `text` text NOT NULL, `quick_reply_id` uuid NOT NULL, CONSTRAINT `quick_reply_texts_quick_replies_texts` FOREIGN KEY (`quick_reply_id`) REFERENCES `quick_replies` (`id`) ON DELETE CASCADE);
CREATE UNIQUE INDEX `quickreplytext_quick_reply_id_language` ON `quick_reply_texts` (`quick_reply_id`, `language`);
