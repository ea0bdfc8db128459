-- Begins an instance with a lease of ARGV[5] milliseconds. Returns since when this Redis has what it has.

redis.call('HSET', instance, '', '0')
redis.call('ZADD', KEYS[1], integer(now + ARGV[5]), me)
redis.call('SET', own .. 'epoch', integer(now), 'NX')
return redis.call('GET', own .. 'epoch')
