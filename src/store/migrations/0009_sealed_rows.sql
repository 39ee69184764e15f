ALTER TABLE "identities" ADD COLUMN "seal" "bytea" DEFAULT ''::bytea NOT NULL;--> statement-breakpoint
ALTER TABLE "operations" ADD COLUMN "seal" "bytea" DEFAULT ''::bytea NOT NULL;--> statement-breakpoint
ALTER TABLE "requests" ADD COLUMN "seal" "bytea" DEFAULT ''::bytea NOT NULL;