-- +goose Up
CREATE TABLE "audit_entries" ("id" uuid NOT NULL, "operator_id" uuid NULL, "client_id" uuid NULL, "action" character varying NOT NULL, "subject" character varying NOT NULL, "before" character varying NULL, "after" character varying NULL, "created_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
CREATE INDEX "auditentry_created_at_id" ON "audit_entries" ("created_at", "id");
