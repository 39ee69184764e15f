CREATE TABLE "audit_outbox" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"subject" text NOT NULL,
	"body" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "caller_credentials" (
	"access_key_id" text PRIMARY KEY NOT NULL,
	"caller" text NOT NULL,
	"serial" integer NOT NULL,
	"sealed_secret" "bytea" NOT NULL,
	"token_hash" "bytea" NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "identities" (
	"did" text PRIMARY KEY NOT NULL,
	"caller" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "operations" (
	"cid" text PRIMARY KEY NOT NULL,
	"did" text NOT NULL,
	"bytes" "bytea" NOT NULL,
	"request_id" uuid,
	"nullified" boolean NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "requests" (
	"id" uuid PRIMARY KEY NOT NULL,
	"caller" text NOT NULL,
	"key_id" text NOT NULL,
	"digest" "bytea" NOT NULL,
	"unsigned" "bytea" NOT NULL,
	"did" text,
	"prev" text,
	"operation_class" text NOT NULL,
	"state" text NOT NULL,
	"decision" jsonb NOT NULL,
	"rules" text[] NOT NULL,
	"policy" "bytea" NOT NULL,
	"replaces" uuid[] NOT NULL,
	"lease" uuid,
	"lease_until" timestamp (3) with time zone,
	"signature" "bytea",
	"cid" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"intended_at" timestamp (3) with time zone,
	"produced_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE INDEX "audit_outbox_subject" ON "audit_outbox" USING btree ("subject","kind");--> statement-breakpoint
CREATE UNIQUE INDEX "caller_credentials_serial" ON "caller_credentials" USING btree ("caller","serial");--> statement-breakpoint
CREATE INDEX "operations_did" ON "operations" USING btree ("did","recorded_at");--> statement-breakpoint
CREATE INDEX "requests_bytes" ON "requests" USING btree ("digest","created_at");--> statement-breakpoint
CREATE INDEX "requests_list" ON "requests" USING btree ("caller","created_at","id");--> statement-breakpoint
CREATE INDEX "requests_prev" ON "requests" USING btree ("did","prev");--> statement-breakpoint
CREATE INDEX "requests_class" ON "requests" USING btree ("operation_class","intended_at");--> statement-breakpoint
CREATE UNIQUE INDEX "requests_one_live_per_prev" ON "requests" USING btree ("did","prev") WHERE "requests"."prev" is not null and "requests"."state" in ('signing', 'returned', 'submitted');--> statement-breakpoint
CREATE UNIQUE INDEX "requests_one_live_genesis" ON "requests" USING btree ("digest") WHERE "requests"."prev" is null and "requests"."state" in ('signing', 'returned', 'submitted');