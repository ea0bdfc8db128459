-- Forgets some connections of an instance whose lease has ended. ARGV[5] is where to go on: '0' at the beginning, 'departed'
-- when there are departures left alone, ARGV[6] how many of these are returned. Returns where to go on next, '' when there
-- is nothing left to do, and departures.

local lease = redis.call('ZSCORE', KEYS[1], me)
if not lease or tonumber(lease) > now then return { '', {} } end
if ARGV[5] == 'departed' then
  local left = redis.call('ZRANGEBYLEX', own .. 'departed:' .. me, '-', '+', 'LIMIT', 0, ARGV[6])
  if #left > 0 then return { 'departed', left } end
  redis.call('ZREM', KEYS[1], me)
  return { '', {} }
end
-- Should it come back it begins anew.
redis.call('HDEL', instance, '')
local page = redis.call('HSCAN', instance, ARGV[5], 'COUNT', 100)
local next = page[1]
for place = 1, #page[2], 2 do
  if room <= 0 then
    -- The same page again, for what is left of it.
    next = ARGV[5]
    break
  end
  local field = page[2][place]
  local separator = string.find(field, '\0', 1, true)
  gone(field, string.sub(field, 1, separator - 1), string.sub(field, separator + 1))
end
finish()
if redis.call('EXISTS', instance) == 1 then return { next, departures } end
if redis.call('EXISTS', own .. 'departed:' .. me) == 1 then return { 'departed', departures } end
redis.call('ZREM', KEYS[1], me)
return { '', departures }
