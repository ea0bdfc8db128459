-- Sets when the call ARGV[1], which was taken until ARGV[2], is to be looked at next: ARGV[3], '' for never. Does nothing if
-- somebody has set another time since.

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
