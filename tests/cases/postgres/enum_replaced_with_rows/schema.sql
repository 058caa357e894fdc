CREATE TYPE "Role" AS ENUM ('USER', 'ADMIN', 'NONE');
CREATE TABLE "User" (id text PRIMARY KEY, role "Role" NOT NULL DEFAULT 'USER', tags "Role"[]);
INSERT INTO "User" SELECT 'u' || g, CASE WHEN g % 2 = 0 THEN 'ADMIN' ELSE 'USER' END::"Role", '{USER,ADMIN}' FROM generate_series(1, 40) g;
ANALYZE;
