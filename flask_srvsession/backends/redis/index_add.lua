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
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(0', string.format('%.0f', now))

local life = tonumber(ARGV[3])
local expiry = string.format('%.0f', now + life * 1000)
redis.call('ZADD', KEYS[1], 'GT', expiry, ARGV[1])
if redis.call('PTTL', KEYS[1]) < life then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
