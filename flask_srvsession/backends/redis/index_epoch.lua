-- KEYS: the index. ARGV: a fresh epoch, how long one lives alone in ms. Returns the
-- current epoch, which is the fresh one where there was none. It lives for half of that
-- at least. A head that is not one of ours goes.
for _, head in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], 0, 0)) do
  local epoch = string.match(head, '^([0-9a-f]+) ')
  if epoch and #epoch == 16 then
    if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) / 2 then
      redis.call('PEXPIRE', KEYS[1], ARGV[2])
    end
    return epoch
  end
  redis.call('ZREM', KEYS[1], head)
end
redis.call('ZADD', KEYS[1], 0, ARGV[1] .. ' ')
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return ARGV[1]
