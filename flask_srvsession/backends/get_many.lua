-- KEYS: cells. Returns the value of each, nothing where it is gone, and an empty one
-- where something of another type is.
local values = {}
for number, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    if not string.find(tostring(value.err), 'WRONGTYPE', 1, true) then
      return value
    end
    value = ''
  end
  values[number] = value
end
return values
