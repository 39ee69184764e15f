CREATE TABLE "approvals" (
	"request_id" uuid NOT NULL,
	"person" text NOT NULL,
	"decision" text NOT NULL,
	"statement" "bytea" NOT NULL,
	"evidence" "bytea" NOT NULL,
	"nonce" "bytea" NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "approvals_request_id_person_decision_pk" PRIMARY KEY("request_id","person","decision"),
	CONSTRAINT "approvals_nonce_unique" UNIQUE("nonce")
);
--> statement-breakpoint
CREATE TABLE "denial_counts" (
	"caller" text NOT NULL,
	"minute" timestamp (3) with time zone NOT NULL,
	"count" integer NOT NULL,
	CONSTRAINT "denial_counts_caller_minute_pk" PRIMARY KEY("caller","minute")
);
--> statement-breakpoint
CREATE TABLE "officer_calls" (
	"digest" "bytea" PRIMARY KEY NOT NULL,
	"until" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "quorums" (
	"request_id" uuid PRIMARY KEY NOT NULL,
	"requester" text NOT NULL,
	"roster" "bytea" NOT NULL,
	"seal" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE INDEX "officer_calls_until" ON "officer_calls" USING btree ("until");--> statement-breakpoint
CREATE INDEX "requests_asked" ON "requests" USING btree ("caller") WHERE "requests"."state" = 'proposed';--> statement-breakpoint
CREATE INDEX "requests_denied" ON "requests" USING btree ("caller","created_at") WHERE "requests"."state" = 'denied';