-- KEYS: the epoch, the members. ARGV: the new epoch with the spared members behind
-- it, how long an epoch lives alone in ms. Returns all members, the expired ones too.
local life = math.max(
  tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[2]))
local set = redis.pcall(
  'SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', life))
if set.err then
  -- A full server: an epoch that is gone is over as well, but can spare nobody.
  if string.find(ARGV[1], ' ', 1, true) or not string.find(set.err, 'OOM', 1, true) then
    return set
  end
  redis.call('DEL', KEYS[1])
end
return redis.call('ZRANGE', KEYS[2], 0, -1)
