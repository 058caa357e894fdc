-- Built concurrently, whether you write that or not.
CREATE INDEX users_country_idx ON users (country);
