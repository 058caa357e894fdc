ALTER TABLE tickets ALTER ticket_type DROP DEFAULT;
