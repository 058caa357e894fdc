UPDATE posts SET title = 'abcd' WHERE length(title) <= 3;
ALTER TABLE posts ADD CONSTRAINT title_length CHECK(length(title) > 3);
