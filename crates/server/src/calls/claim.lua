-- Takes calls, KEYS[1], whose time has come, for ARGV[1] milliseconds, at most ARGV[2] of them. Returns the time of Redis in
-- milliseconds, until when they are taken, and their ids.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local taken_until = now + ARGV[1]
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  redis.call('ZADD', KEYS[1], taken_until, id)
end
local answer = {string.format('%.0f', now), string.format('%.0f', taken_until)}
for _, id in ipairs(due) do answer[#answer + 1] = id end
return answer
