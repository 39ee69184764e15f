CREATE TABLE "submissions" (
	"request_id" uuid PRIMARY KEY NOT NULL,
	"outcome" text NOT NULL,
	"status" integer,
	"message" text,
	"sent_at" timestamp (3) with time zone NOT NULL,
	"checked_at" timestamp (3) with time zone,
	"confirmed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE INDEX "submissions_open" ON "submissions" USING btree ("checked_at") WHERE "submissions"."confirmed_at" is null;