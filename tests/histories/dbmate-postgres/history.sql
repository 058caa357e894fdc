CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

INSERT INTO public.schema_migrations VALUES ('20260105090000');
INSERT INTO public.schema_migrations VALUES ('20260106101500');
INSERT INTO public.schema_migrations VALUES ('20260107113000');

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
