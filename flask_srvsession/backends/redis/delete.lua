-- KEYS: the cell. ARGV: the version that was read. Returns how many were deleted.
local version = redis.pcall('GETRANGE', KEYS[1], 0, 7)
if type(version) == 'table' then
  if not string.find(tostring(version.err), 'WRONGTYPE', 1, true) then
    return version
  end
  version = ''
end
if version ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
