CREATE TABLE public.goose_db_version (
    id integer NOT NULL,
    version_id bigint NOT NULL,
    is_applied boolean NOT NULL,
    tstamp timestamp without time zone DEFAULT now()
);

CREATE SEQUENCE public.goose_db_version_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.goose_db_version_id_seq OWNED BY public.goose_db_version.id;

ALTER TABLE ONLY public.goose_db_version ALTER COLUMN id SET DEFAULT nextval('public.goose_db_version_id_seq'::regclass);

INSERT INTO public.goose_db_version VALUES (1, 0, true, '2026-11-29 07:46:58.894308');
INSERT INTO public.goose_db_version VALUES (2, 1, true, '2026-11-29 07:46:59.017403');
INSERT INTO public.goose_db_version VALUES (3, 2, true, '2026-11-29 07:46:59.134376');
INSERT INTO public.goose_db_version VALUES (4, 3, true, '2026-11-29 07:46:59.246823');
INSERT INTO public.goose_db_version VALUES (5, 3, false, '2026-11-29 07:47:00.436965');
INSERT INTO public.goose_db_version VALUES (6, 3, true, '2026-11-29 07:47:01.644327');

SELECT pg_catalog.setval('public.goose_db_version_id_seq', 6, true);

ALTER TABLE ONLY public.goose_db_version
    ADD CONSTRAINT goose_db_version_pkey PRIMARY KEY (id);
