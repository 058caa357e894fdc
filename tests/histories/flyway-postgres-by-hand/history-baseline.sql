CREATE TABLE public.flyway_schema_history (
    installed_rank integer NOT NULL,
    version character varying(50),
    description character varying(200) NOT NULL,
    type character varying(20) NOT NULL,
    script character varying(1000) NOT NULL,
    checksum integer,
    installed_by character varying(100) NOT NULL,
    installed_on timestamp without time zone DEFAULT now() NOT NULL,
    execution_time integer NOT NULL,
    success boolean NOT NULL
);

INSERT INTO public.flyway_schema_history VALUES (0, NULL, '<< Flyway Schema Creation >>', 'SCHEMA', '"app"', NULL, 'postgres', '2026-11-29 07:47:04.557215', 0, true);
INSERT INTO public.flyway_schema_history VALUES (1, '1', '<< Flyway Baseline >>', 'BASELINE', '<< Flyway Baseline >>', NULL, 'postgres', '2026-11-29 07:47:04.594947', 0, true);
INSERT INTO public.flyway_schema_history VALUES (2, '1.1', 'add users active', 'SQL', 'V1.1__add_users_active.sql', -1090627399, 'postgres', '2026-11-29 07:47:04.702685', 3, true);
INSERT INTO public.flyway_schema_history VALUES (3, '2', 'index users username', 'SQL', 'V2__index_users_username.sql', 2116400476, 'postgres', '2026-11-29 07:47:04.775492', 3, true);
INSERT INTO public.flyway_schema_history VALUES (4, NULL, 'active users', 'SQL', 'R__active_users.sql', 729554642, 'postgres', '2026-11-29 07:47:04.847558', 4, true);

ALTER TABLE ONLY public.flyway_schema_history
    ADD CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank);

CREATE INDEX flyway_schema_history_s_idx ON public.flyway_schema_history USING btree (success);
