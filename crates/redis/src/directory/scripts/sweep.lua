-- Forgets some connections of an instance whose lease has ended. ARGV[4] is where to go on. Returns where to go on next,
-- '' when there is nothing left to do.

local lease = redis.call('ZSCORE', KEYS[1], me)
if not lease or tonumber(lease) > now then return '' end
-- Should it come back it begins anew.
redis.call('HDEL', instance, '')
local page = redis.call('HSCAN', instance, ARGV[4], 'COUNT', 100)
local next = page[1]
for place = 1, #page[2], 2 do
  if room <= 0 then
    -- The same page again, for what is left of it.
    next = ARGV[4]
    break
  end
  local field = page[2][place]
  local separator = string.find(field, '\0', 1, true)
  gone(field, string.sub(field, 1, separator - 1), string.sub(field, separator + 1))
end
finish()
if redis.call('EXISTS', instance) == 0 then
  redis.call('ZREM', KEYS[1], me)
  return ''
end
return next
