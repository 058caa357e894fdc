UPDATE posts SET user_id = NULL WHERE user_id NOT IN (SELECT id FROM users);
ALTER TABLE posts ADD CONSTRAINT fk_users_id FOREIGN KEY(user_id) REFERENCES users(id) ON DELETE CASCADE;
