CREATE OR REPLACE VIEW active_users AS
    SELECT id, username
    FROM users
    WHERE active;
