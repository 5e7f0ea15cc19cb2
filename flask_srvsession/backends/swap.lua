-- KEYS: the cell. ARGV: the token that was read, the new value, its life in ms.
-- Returns 1 when done, nothing when the cell is gone, else the value that is there.
local token = redis.pcall('GETRANGE', KEYS[1], 0, 7)
local foreign = type(token) == 'table'
if foreign then
  if not string.find(tostring(token.err), 'WRONGTYPE', 1, true) then
    return token
  end
  token = ''
end
if token == '' and redis.call('EXISTS', KEYS[1]) == 0 then
  return false
end
if token ~= ARGV[1] then
  return foreign and '' or redis.call('GET', KEYS[1])
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
