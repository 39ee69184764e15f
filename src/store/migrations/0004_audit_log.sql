CREATE TABLE "audit_checkpoint" (
	"id" integer PRIMARY KEY NOT NULL,
	"size" bigint NOT NULL,
	"note" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_entries" (
	"idx" bigint PRIMARY KEY NOT NULL,
	"leaf" "bytea" NOT NULL,
	"body" "bytea" NOT NULL,
	"look_up" text
);
--> statement-breakpoint
CREATE TABLE "audit_head" (
	"id" integer PRIMARY KEY NOT NULL,
	"epoch" bigint NOT NULL,
	"size" bigint NOT NULL,
	"peaks" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_tiles" (
	"level" integer NOT NULL,
	"idx" bigint NOT NULL,
	"hashes" "bytea" NOT NULL,
	CONSTRAINT "audit_tiles_level_idx_pk" PRIMARY KEY("level","idx")
);
--> statement-breakpoint
CREATE INDEX "audit_entries_look_up" ON "audit_entries" USING btree ("look_up") WHERE "audit_entries"."look_up" is not null;--> statement-breakpoint
INSERT INTO "audit_head" ("id", "epoch", "size", "peaks") VALUES (1, 0, 0, '');--> statement-breakpoint
INSERT INTO "audit_checkpoint" ("id", "size", "note") VALUES (1, 0, '');--> statement-breakpoint
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END $$;--> statement-breakpoint
CREATE TRIGGER audit_entries_rows BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION audit_log_is_append_only();--> statement-breakpoint
CREATE TRIGGER audit_entries_truncate BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();--> statement-breakpoint
CREATE TRIGGER audit_tiles_rows BEFORE UPDATE OR DELETE ON audit_tiles FOR EACH ROW EXECUTE FUNCTION audit_log_is_append_only();--> statement-breakpoint
CREATE TRIGGER audit_tiles_truncate BEFORE TRUNCATE ON audit_tiles FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();--> statement-breakpoint
ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER audit_entries_rows;--> statement-breakpoint
ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER audit_entries_truncate;--> statement-breakpoint
ALTER TABLE audit_tiles ENABLE ALWAYS TRIGGER audit_tiles_rows;--> statement-breakpoint
ALTER TABLE audit_tiles ENABLE ALWAYS TRIGGER audit_tiles_truncate;
