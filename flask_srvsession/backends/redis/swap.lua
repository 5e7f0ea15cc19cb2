-- KEYS: the cell. ARGV: the version that was read, the new value, its life in ms.
-- Returns 1 when done, nothing when the cell is gone, else the value that is there.
local version = redis.pcall('GETRANGE', KEYS[1], 0, 7)
local foreign = type(version) == 'table'
if foreign then
  if not string.find(tostring(version.err), 'WRONGTYPE', 1, true) then
    return version
  end
  version = ''
end
if version == '' and redis.call('EXISTS', KEYS[1]) == 0 then
  return false
end
if version ~= ARGV[1] then
  return foreign and '' or redis.call('GET', KEYS[1])
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
