-- Reads and writes through nginx at a fixed pace: each connection waits SHOP_PAUSE milliseconds between
-- two requests. The ids that it writes are its own; the checker does not know them. Those that it reads are
-- never removed, so each answer must be 2xx.
local users = tonumber(os.getenv("SHOP_USERS"))
local pause = tonumber(os.getenv("SHOP_PAUSE"))
local turn = 0

function init()
    math.randomseed(os.time())
    wrk.headers["Connection"] = "close"
end

function delay()
    return pause
end

function request()
    turn = turn + 1
    if turn % 4 == 0 then
        local id = 1000000000 + math.random(users)
        return wrk.format("PUT", "/users/" .. id, nil, "load " .. turn)
    end
    return wrk.format("GET", "/users/" .. math.random(math.floor(users / 2)))
end
