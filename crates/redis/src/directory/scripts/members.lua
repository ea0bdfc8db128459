-- A page of a group's members: KEYS[1] is the group, KEYS[2] the versions of its hub's groups, KEYS[3] the epoch. ARGV[1] is
-- the group's name, ARGV[2] from where, ARGV[3] how many. Returns epoch, version ('0' if it is empty) and the members.

local members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], '+', 'LIMIT', 0, ARGV[3])
return { redis.call('GET', KEYS[3]) or '', redis.call('HGET', KEYS[2], ARGV[1]) or '0', members }
