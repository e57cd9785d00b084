-- +goose Up
CREATE TABLE "facebook_logins" ("id" uuid NOT NULL, "started_by" uuid NOT NULL, "state_hash" bytea NULL, "status" character varying NOT NULL, "reason" character varying NOT NULL DEFAULT '', "return_to" character varying NOT NULL DEFAULT '', "user_id" character varying NOT NULL DEFAULT '', "user_name" character varying NOT NULL DEFAULT '', "sealed" bytea NOT NULL, "expires_at" timestamptz NOT NULL, "created_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
CREATE UNIQUE INDEX "facebook_logins_state_hash_key" ON "facebook_logins" ("state_hash");
CREATE INDEX "facebooklogin_expires_at" ON "facebook_logins" ("expires_at");
