-- KEYS: the cell. ARGV: the token that was read. Returns how many were deleted.
local token = redis.pcall('GETRANGE', KEYS[1], 0, 7)
if type(token) == 'table' then
  if not string.find(tostring(token.err), 'WRONGTYPE', 1, true) then
    return token
  end
  token = ''
end
if token ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
