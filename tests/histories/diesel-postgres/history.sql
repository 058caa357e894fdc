CREATE TABLE public.__diesel_schema_migrations (
    version character varying(50) NOT NULL,
    run_on timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);

INSERT INTO public.__diesel_schema_migrations VALUES ('20260105090000', '2026-11-29 07:45:52.12351');
INSERT INTO public.__diesel_schema_migrations VALUES ('20260106101500', '2026-11-29 07:45:52.125432');
INSERT INTO public.__diesel_schema_migrations VALUES ('20260107113000', '2026-11-29 07:45:52.159737');

ALTER TABLE ONLY public.__diesel_schema_migrations
    ADD CONSTRAINT __diesel_schema_migrations_pkey PRIMARY KEY (version);
