CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

INSERT INTO public._sqlx_migrations VALUES (20260105090000, 'create users', '2026-11-29 07:44:48.148359+00', true, '\x3a6db6f7c0f862c502d010c231dfca5ffbc19fe8e9e230016c3061cd00a9aabeea8449777f42f90c25c1dd5dcef0a06e', 2033370);
INSERT INTO public._sqlx_migrations VALUES (20260106101500, 'add users active', '2026-11-29 07:44:48.151025+00', true, '\x921a5ea9cd3d2601c33aeb87f4d1be11d8f15962d875bb58f7627eb4ebc26972b3f6b42aadf3fbdf2abe0352e6ff52bf', 788298);
INSERT INTO public._sqlx_migrations VALUES (20260107113000, 'index users username', '2026-11-29 07:44:48.187512+00', true, '\x781a206860cdf238cf2cc5b92296bbe550a11a368f5a92b5de28b297c20a0c2a6f21db301ecfe9fb8fe15aa2c566b36d', 2944658);

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
