-- +goose Up
CREATE TABLE `facebook_logins` (`id` uuid NOT NULL, `started_by` uuid NOT NULL, `state_hash` blob NULL, `status` text NOT NULL, `reason` text NOT NULL DEFAULT (''), `return_to` text NOT NULL DEFAULT (''), `user_id` text NOT NULL DEFAULT (''), `user_name` text NOT NULL DEFAULT (''), `sealed` blob NOT NULL, `expires_at` datetime NOT NULL, `created_at` datetime NOT NULL, PRIMARY KEY (`id`));
CREATE UNIQUE INDEX `facebook_logins_state_hash_key` ON `facebook_logins` (`state_hash`);
CREATE INDEX `facebooklogin_expires_at` ON `facebook_logins` (`expires_at`);
