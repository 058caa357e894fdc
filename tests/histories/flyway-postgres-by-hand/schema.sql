CREATE TABLE public.users (
    id bigint NOT NULL,
    username text NOT NULL,
    active boolean DEFAULT true NOT NULL
);

CREATE VIEW public.active_users AS
 SELECT users.id,
    users.username
   FROM public.users
  WHERE users.active;

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX users_username_idx ON public.users USING btree (username);
