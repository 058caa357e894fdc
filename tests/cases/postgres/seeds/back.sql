SELECT (SELECT count(*)::text FROM kinds), (SELECT count(*)::text FROM notes), (SELECT count(*)::text FROM things)
