-- KEYS: the index. ARGV: the new epoch, the members to keep, separated by spaces, how
-- long an epoch lives alone in ms. Returns the head before.
local former = redis.call('ZRANGEBYSCORE', KEYS[1], 0, 0)
local added = redis.pcall('ZADD', KEYS[1], 0, ARGV[1] .. ' ' .. ARGV[2])
if type(added) == 'table' then
  -- A full server: an epoch that is gone is over as well, but can keep nobody.
  if ARGV[2] ~= '' or not string.find(added.err, 'OOM', 1, true) then
    return added
  end
end
for _, head in ipairs(former) do
  redis.call('ZREM', KEYS[1], head)
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return former
