SELECT id, net, gross FROM orders ORDER BY 1
