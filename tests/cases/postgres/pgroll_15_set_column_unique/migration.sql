ALTER TABLE reviews ADD CONSTRAINT reviews_review_unique UNIQUE(review);
