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

INSERT INTO public.flyway_schema_history VALUES (1, '1', 'create users', 'SQL', 'V1__create_users.sql', 55174945, 'postgres', '2026-11-29 07:47:04.083688', 6, true);
INSERT INTO public.flyway_schema_history VALUES (2, '1.1', 'add users active', 'SQL', 'V1.1__add_users_active.sql', -1090627399, 'postgres', '2026-11-29 07:47:04.162644', 3, true);
INSERT INTO public.flyway_schema_history VALUES (3, NULL, 'active users', 'SQL', 'R__active_users.sql', 1296171802, 'postgres', '2026-11-29 07:47:04.244747', 4, true);
INSERT INTO public.flyway_schema_history VALUES (4, '2', 'index users username', 'SQL', 'V2__index_users_username.sql', 2116400476, 'postgres', '2026-11-29 07:47:04.327734', 3, true);
INSERT INTO public.flyway_schema_history VALUES (5, NULL, 'active users', 'SQL', 'R__active_users.sql', 729554642, 'postgres', '2026-11-29 07:47:04.405478', 4, true);

ALTER TABLE ONLY public.flyway_schema_history
    ADD CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank);

CREATE INDEX flyway_schema_history_s_idx ON public.flyway_schema_history USING btree (success);
