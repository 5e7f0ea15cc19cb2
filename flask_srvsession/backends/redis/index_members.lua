-- KEYS: the index. ARGV: how many, and the member that they follow, or ''. Returns
-- members that have not expired by the server's clock; nothing if that is not listed.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local first = redis.call('ZCOUNT', KEYS[1], '-inf', string.format('%.0f', now))
if ARGV[2] ~= '' then
  local rank = redis.call('ZRANK', KEYS[1], ARGV[2])
  if not rank then
    return false
  end
  first = math.max(first, rank + 1)
end
return redis.call('ZRANGE', KEYS[1], first, first + ARGV[1] - 1)
