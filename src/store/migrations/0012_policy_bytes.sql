ALTER TABLE "policy_sets" ADD COLUMN "set" "bytea";--> statement-breakpoint
ALTER TABLE "policy_sets" ADD COLUMN "roster_set" "bytea";