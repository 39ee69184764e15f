CREATE TABLE "policy_sets" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"digest" "bytea" NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
