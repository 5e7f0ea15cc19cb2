-- KEYS: the members. Returns those whose time is not over by the server's clock.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return redis.call(
  'ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
