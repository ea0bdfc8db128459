-- Renews the lease of an instance, for ARGV[5] milliseconds, and of those in ARGV[8...], which it was before. ARGV[6] and
-- ARGV[7] are the first and the last number that its last write can have. Returns 1 if it is known as it believes to be,
-- and an instance whose lease has ended, or ''.

local at = tonumber(redis.call('HGET', instance, '') or '-1')
local is_known = at >= tonumber(ARGV[6]) and at <= tonumber(ARGV[7]) and redis.call('ZSCORE', KEYS[1], me)
local until_when = integer(now + ARGV[5])
if is_known then redis.call('ZADD', KEYS[1], 'XX', until_when, me) end
for place = 8, #ARGV do redis.call('ZADD', KEYS[1], 'XX', until_when, ARGV[place]) end
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', integer(now), 'LIMIT', 0, 1)[1]
return { is_known and 1 or 0, dead or '' }
