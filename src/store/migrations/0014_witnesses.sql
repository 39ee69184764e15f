CREATE TABLE "cosigned_checkpoint" (
	"id" integer PRIMARY KEY NOT NULL,
	"size" bigint NOT NULL,
	"note" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "witnesses" (
	"key" text PRIMARY KEY NOT NULL,
	"size" bigint NOT NULL
);
