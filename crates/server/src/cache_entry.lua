-- Writes KEYS[1] with the text ARGV[1]. It ends ARGV[2] milliseconds from now, and ARGV[3] after it was last read.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local absolute = string.format('%.0f0000', now + ARGV[2] + 62135596800000)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'absexp', absolute, 'sldexp', ARGV[3] .. '0000', 'data', ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.min(ARGV[2], ARGV[3]))
