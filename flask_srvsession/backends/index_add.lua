-- KEYS: the epoch, the members. ARGV: the member, the epoch that is expected, the
-- member's life in ms, the limit or ''. Members with the same text after their last
-- dot count as one, those with the member's text before the first do not count.
-- Returns 'done', 'stale' or 'full'.
local function place(member)
  return string.match(member, '[^.]*$')
end

local head = redis.call('GET', KEYS[1])
if not head or string.match(head, '^[^ ]+') ~= ARGV[2] then
  return 'stale'
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))

if ARGV[4] ~= '' and not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  local taken = {[place(ARGV[1])] = true}
  local session = string.match(ARGV[1], '^[^.]*')
  local others = 0
  for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if not taken[place(member)] and string.match(member, '^[^.]*') ~= session then
      taken[place(member)] = true
      others = others + 1
    end
  end
  if others >= tonumber(ARGV[4]) then
    return 'full'
  end
end

local life = tonumber(ARGV[3])
redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', now + life), ARGV[1])
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < life then
    redis.call('PEXPIRE', key, ARGV[3])
  end
end
return 'done'
