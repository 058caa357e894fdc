CREATE TABLE public.users (
    id bigint NOT NULL,
    username text NOT NULL,
    active boolean DEFAULT true NOT NULL
);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX users_username_idx ON public.users USING btree (username);
