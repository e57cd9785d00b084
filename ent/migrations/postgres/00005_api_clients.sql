-- +goose Up
CREATE TABLE "api_clients" ("id" uuid NOT NULL, "name" character varying NOT NULL, "role" character varying NOT NULL, "scopes" jsonb NOT NULL, "secret_hash" bytea NOT NULL, "last_used_at" timestamptz NULL, "revoked_at" timestamptz NULL, "created_at" timestamptz NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_by" uuid NULL, PRIMARY KEY ("id"), CONSTRAINT "api_clients_operators_creator" FOREIGN KEY ("created_by") REFERENCES "operators" ("id") ON DELETE SET NULL);
CREATE UNIQUE INDEX "api_clients_name_key" ON "api_clients" ("name");
