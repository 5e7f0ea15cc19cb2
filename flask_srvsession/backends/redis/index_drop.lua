-- KEYS: the index. Deletes it, its epoch too, unless it has members that have not
-- expired by the server's clock.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local from = '(' .. string.format('%.0f', now)
if redis.call('ZCOUNT', KEYS[1], from, '+inf') == 0 then
  redis.call('UNLINK', KEYS[1])
end
