-- +goose Up
ALTER TABLE "channels" ADD COLUMN "last_inbound_at" timestamptz NULL;
CREATE TABLE "channel_checks" ("id" uuid NOT NULL, "channel_id" uuid NOT NULL, "code" character varying NOT NULL, "status" character varying NOT NULL, "detail" character varying NOT NULL, "action" character varying NOT NULL DEFAULT '', "since" timestamptz NOT NULL, "checked_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
CREATE UNIQUE INDEX "channelcheck_channel_id_code" ON "channel_checks" ("channel_id", "code");
-- Channels from before are checked from now on, as a new one is.
INSERT INTO "works" ("kind", "lane", "payload", "run_at", "created_at")
	SELECT 'check', 'check:' || "id", '', '2026-11-23 00:00:00+00', '2026-11-23 00:00:00+00' FROM "channels";
