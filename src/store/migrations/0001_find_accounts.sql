CREATE TABLE "account_searches" (
	"caller" text PRIMARY KEY NOT NULL,
	"pds" text,
	"cursor" text,
	"asked_at" timestamp (3) with time zone,
	"reads_until" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "listed_accounts" (
	"caller" text NOT NULL,
	"did" text NOT NULL,
	"position" bigserial NOT NULL,
	"reads" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "listed_accounts_caller_did_pk" PRIMARY KEY("caller","did")
);
--> statement-breakpoint
CREATE INDEX "listed_accounts_next" ON "listed_accounts" USING btree ("caller","reads","position");--> statement-breakpoint
CREATE INDEX "operations_atproto" ON "operations" USING btree (substring("bytes" from coalesce(
  nullif(position('\x67617470726f746f7839'::bytea in "bytes"), 0) + 10,
  nullif(position('\x6a7369676e696e674b65797839'::bytea in "bytes"), 0) + 13) for 57));