-- Writes a call, KEYS[1], as .NET's distributed cache keeps an entry, with fields of our own beside.
--
-- ARGV[1]  the state it must have before, '' for no entry
-- ARGV[2]  the new state
-- ARGV[3]  the new text for other programs
-- ARGV[4]  how many milliseconds a new entry is kept
-- ARGV[5]  for whom kept candidates are taken: letters, 'c' for the caller, 'r' for the recipient
-- ARGV[6]  for whom a candidate is to be kept, '' for none
-- ARGV[7]  that candidate
-- ARGV[8]  how many are kept for one
-- ARGV[9]  '1' if the descriptions are not needed any more
-- ARGV[10] and behind: fields and values to set
--
-- Returns 'changed' if the state is another one, 'full' if as many candidates are kept, else 'ok' and the candidates that
-- were taken, in order, each behind the letter for whom it was.

local key = KEYS[1]
if (redis.call('HGET', key, 'state') or '') ~= ARGV[1] then return {'changed'} end

local kept = ARGV[6]
if kept ~= '' then
  local count = tonumber(redis.call('HGET', key, 'kept:' .. kept) or '0')
  if count >= tonumber(ARGV[8]) then return {'full'} end
  redis.call('HSET', key, 'kept:' .. kept, count + 1, 'kept:' .. kept .. count, ARGV[7])
end

local answer = {'ok'}
for whom in string.gmatch(ARGV[5], '.') do
  local count = tonumber(redis.call('HGET', key, 'kept:' .. whom) or '0')
  for number = 0, count - 1 do
    local field = 'kept:' .. whom .. number
    answer[#answer + 1] = whom .. (redis.call('HGET', key, field) or '')
    redis.call('HDEL', key, field)
  end
  redis.call('HDEL', key, 'kept:' .. whom)
end

if ARGV[1] == '' then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local absolute = string.format('%.0f0000', now + ARGV[4] + 62135596800000)
  redis.call('HSET', key, 'absexp', absolute, 'sldexp', '-1')
  redis.call('PEXPIRE', key, ARGV[4])
end
redis.call('HSET', key, 'data', ARGV[3], 'state', ARGV[2])
for field = 10, #ARGV, 2 do
  redis.call('HSET', key, ARGV[field], ARGV[field + 1])
end
if ARGV[9] == '1' then redis.call('HDEL', key, 'offer', 'answer') end
return answer
