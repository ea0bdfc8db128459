-- Writes a call, KEYS[1], as .NET's distributed cache keeps an entry. ARGV[1] is the text it must have before, '' for no
-- entry; ARGV[2] the new text; ARGV[3] how many milliseconds a new entry is kept. Returns nothing, or the text that was found
-- instead of ARGV[1].

local current = redis.call('HGET', KEYS[1], 'data') or ''
if current ~= ARGV[1] then return current end
if current == '' then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local absolute = string.format('%.0f0000', now + ARGV[3] + 62135596800000)
  redis.call('HSET', KEYS[1], 'absexp', absolute, 'sldexp', '-1')
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
redis.call('HSET', KEYS[1], 'data', ARGV[2])
return false
