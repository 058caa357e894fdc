CREATE TABLE public.refinery_schema_history (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);

INSERT INTO public.refinery_schema_history VALUES (1, 'create_users', '2026-11-29T07:44:35.541319333Z', '5078801554181503598');
INSERT INTO public.refinery_schema_history VALUES (2, 'add_users_active', '2026-11-29T07:44:35.541352326Z', '11386822107557425552');
INSERT INTO public.refinery_schema_history VALUES (3, 'index_users_username', '2026-11-29T07:44:35.602353063Z', '1439423508830727135');

ALTER TABLE ONLY public.refinery_schema_history
    ADD CONSTRAINT refinery_schema_history_pkey PRIMARY KEY (version);
