SELECT user_id, fax, phone FROM contacts ORDER BY 1
