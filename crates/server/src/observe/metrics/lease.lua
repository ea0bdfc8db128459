-- Takes or renews a lease: KEYS[1] its key, ARGV[1] who asks, ARGV[2] for how many ms. Returns 1 to whom it belongs.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
