SELECT id, plan, seats FROM accounts ORDER BY id
