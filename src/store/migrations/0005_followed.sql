CREATE TABLE "followed" (
	"directory" text PRIMARY KEY NOT NULL,
	"cursor" bigint NOT NULL
);
