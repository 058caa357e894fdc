ALTER TABLE reviews DROP CONSTRAINT reviews_review_unique;
