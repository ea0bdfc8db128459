-- Begins an instance with a lease of ARGV[4] milliseconds. Returns since when this Redis has what it has.

redis.call('HSET', instance, '', '0')
redis.call('ZADD', KEYS[1], integer(now + ARGV[4]), me)
redis.call('SET', own .. 'epoch', integer(now), 'NX')
return redis.call('GET', own .. 'epoch')
