CREATE TABLE "ceremonies" (
	"id" text PRIMARY KEY NOT NULL,
	"intent" "bytea" NOT NULL,
	"result" "bytea" NOT NULL,
	"complete" boolean NOT NULL,
	"imported_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "ceremony_operations" (
	"ceremony" text NOT NULL,
	"did" text NOT NULL,
	"prev" text NOT NULL,
	"cid" text NOT NULL,
	"bytes" "bytea" NOT NULL,
	"state" text NOT NULL,
	"detail" text,
	"not_before" timestamp (3) with time zone,
	"changed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "ceremony_operations_ceremony_did_pk" PRIMARY KEY("ceremony","did")
);
--> statement-breakpoint
CREATE INDEX "ceremony_operations_state" ON "ceremony_operations" USING btree ("ceremony","state","did");--> statement-breakpoint
CREATE INDEX "ceremony_operations_cid" ON "ceremony_operations" USING btree ("cid");