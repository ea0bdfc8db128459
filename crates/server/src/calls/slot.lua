-- Makes ARGV[1] the call of a user, KEYS[1], for ARGV[3] milliseconds, unless the user has another one than ARGV[2]. Returns
-- nothing, or the call that the user has.

local current = redis.call('GET', KEYS[1])
if current and current ~= ARGV[1] and current ~= ARGV[2] then return current end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return false
