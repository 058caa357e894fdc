ALTER TABLE rooms ADD CONSTRAINT rooms_free EXCLUDE USING gist (during WITH &&);
