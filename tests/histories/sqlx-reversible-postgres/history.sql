CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

INSERT INTO public._sqlx_migrations VALUES (20260105090000, 'create users', '2026-11-29 07:44:48.556702+00', true, '\x3a6db6f7c0f862c502d010c231dfca5ffbc19fe8e9e230016c3061cd00a9aabeea8449777f42f90c25c1dd5dcef0a06e', 39197008);
INSERT INTO public._sqlx_migrations VALUES (20260106101500, 'add users active', '2026-11-29 07:44:48.644345+00', true, '\x921a5ea9cd3d2601c33aeb87f4d1be11d8f15962d875bb58f7627eb4ebc26972b3f6b42aadf3fbdf2abe0352e6ff52bf', 4003962);
INSERT INTO public._sqlx_migrations VALUES (20260107113000, 'index users username', '2026-11-29 07:44:48.648847+00', true, '\xa60916ec152a18bf79f2aca20f27f15818fbbf7ae0c5a6196f973fb528efbaa83982c0473c017ffdf595e4246dc99a15', 1126370);

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
