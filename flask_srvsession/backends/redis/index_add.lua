-- KEYS: the index. ARGV: the member, the epoch that is expected, the member's life
-- in ms. Returns whether the epoch is that, and so the member is listed.
local is_current = false
for _, head in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], 0, 0)) do
  is_current = is_current or string.match(head, '^[^ ]+') == ARGV[2]
end
if not is_current then
  return 0
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
-- Some of those that have expired: in time all, and others do not wait long.
local gone = redis.call(
  'ZRANGEBYSCORE', KEYS[1], '(0', string.format('%.0f', now), 'LIMIT', 0, 100)
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
end

local life = tonumber(ARGV[3])
local expiry = string.format('%.0f', now + life * 1000)
redis.call('ZADD', KEYS[1], 'GT', expiry, ARGV[1])
if redis.call('PTTL', KEYS[1]) < life then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
