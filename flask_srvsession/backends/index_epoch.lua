-- KEYS: the epoch, the members. ARGV: a fresh epoch, how long one lives alone in ms.
-- Returns the current epoch, which is the fresh one where there was none.
local head = redis.call('GET', KEYS[1])
if head then
  return string.match(head, '^[^ ]+')
end
local life = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[2]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', life))
return ARGV[1]
