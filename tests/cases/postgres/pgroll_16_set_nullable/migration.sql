UPDATE reviews SET review = product || ' is good' WHERE review IS NULL;
ALTER TABLE reviews ALTER review SET NOT NULL;
