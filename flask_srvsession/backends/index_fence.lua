-- KEYS: the epoch, the members. ARGV: the new epoch with the spared members behind
-- it, how long an epoch lives alone in ms. Returns all members, the expired ones too.
local life = math.max(
  tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[2]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', life))
return redis.call('ZRANGE', KEYS[2], 0, -1)
