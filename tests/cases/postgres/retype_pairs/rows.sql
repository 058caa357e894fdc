SELECT c.id::text, c.x::text, c.y::text, z.a::text FROM c JOIN "My shop".z z ON (z.a, z.b) = (c.y, c.x) ORDER BY c.id
