-- What the scripts that change connections share.
--
-- KEYS[1] is the key of the instances. ARGV[1] is InstanceName, ARGV[2] how to publish and, behind a blank, the
-- channel prefix, ARGV[3] the instance whose connections these are. The other keys are built here; all are in the slot of the first.
--
-- A record is JSON: [milliseconds since 1970, 1 if it counts for connection:{user}, [], user or nothing]. In the place of
-- the empty list earlier versions had the connection's groups.

local name, me = ARGV[1], ARGV[3]
local publish, channel_prefix = string.match(ARGV[2], '^(%u+) (.*)$')
local own = name .. 'hubline:'
local instance = own .. 'instance:' .. me
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local changed_groups, changed_users = {}, {}
-- Memberships that this call may end without having been told which. Redis serves nobody else meanwhile.
local room = 1000

local function integer(number)
  return string.format('%.0f', number)
end

-- What a hub's index has for a connection: its id, instance, time and user.
local function indexed(hub, connection)
  local range = { '[' .. connection .. '\0', '(' .. connection .. '\1' }
  return redis.call('ZRANGEBYLEX', own .. 'connections:' .. hub, range[1], range[2], 'LIMIT', 0, 1)[1]
end

local function index_entry(connection, record)
  local entry = connection .. '\0' .. me .. '\0' .. integer(record[1])
  return record[4] and entry .. '\0' .. record[4] or entry
end

local function owner_of(entry)
  return string.match(entry, '^[^%z]*%z([^%z]*)%z')
end

local function group_changed(hub, group, kind, connection, user)
  local key = own .. 'group:' .. hub .. ':' .. group
  local entry = user and connection .. '\0' .. user or connection
  local changed
  if kind == '+' then
    changed = redis.call('ZADD', key, 0, entry)
  else
    changed = redis.call('ZREM', key, entry)
  end
  if changed == 1 then
    local group_changes = changed_groups[key] or { hub = hub, group = group, list = {} }
    table.insert(group_changes.list, { kind, connection, user })
    changed_groups[key] = group_changes
  end
end

local function joined_key(hub, connection)
  return own .. 'joined:' .. hub .. ':' .. connection
end

-- Also where it was before: the group's index may have been lost.
local function joined(hub, connection, group, user)
  redis.call('ZADD', joined_key(hub, connection), 0, group)
  group_changed(hub, group, '+', connection, user)
end

local function left(hub, connection, group, user)
  redis.call('ZREM', joined_key(hub, connection), group)
  group_changed(hub, group, '-', connection, user)
end

-- Ends memberships of a connection, as many as `most`, or all if that is -1. Returns whether there are none left.
local function leave(hub, connection, user, most)
  local key = joined_key(hub, connection)
  local groups = redis.call('ZRANGEBYLEX', key, '-', '+', 'LIMIT', 0, most)
  for _, group in ipairs(groups) do left(hub, connection, group, user) end
  room = room - #groups
  return redis.call('EXISTS', key) == 0
end

local function user_connected(hub, connection, record)
  local user = record[4]
  if not user then return end
  redis.call('ZADD', own .. 'users:' .. hub, 0, user)
  redis.call('ZADD', own .. 'user:' .. hub .. ':' .. user, record[1], connection)
  if record[2] == 1 then
    redis.call('ZADD', own .. 'mapped:' .. user, record[1], connection)
    changed_users[user] = true
  end
end

local function user_disconnected(hub, connection, record)
  local user = record[4]
  if not user then return end
  local key = own .. 'user:' .. hub .. ':' .. user
  redis.call('ZREM', key, connection)
  if redis.call('EXISTS', key) == 0 then redis.call('ZREM', own .. 'users:' .. hub, user) end
  if redis.call('ZREM', own .. 'mapped:' .. user, connection) == 1 then changed_users[user] = true end
end

-- Forgets a connection of this instance; returns whether all of it is forgotten, for one of many groups takes several
-- calls. What another instance has taken over stays.
local function gone(field, hub, connection)
  local text = redis.call('HGET', instance, field)
  if not text then return true end
  local entry = indexed(hub, connection)
  if entry and owner_of(entry) ~= me then
    redis.call('HDEL', instance, field)
    return true
  end
  if entry then redis.call('ZREM', own .. 'connections:' .. hub, entry) end
  local record = cjson.decode(text)
  user_disconnected(hub, connection, record)
  for _, group in ipairs(record[3]) do group_changed(hub, group, '-', connection, record[4]) end
  if not leave(hub, connection, record[4], room) then return false end
  redis.call('HDEL', instance, field)
  return true
end

-- As .NET's distributed cache on Redis keeps an entry: 12 hours absolute, 4 hours sliding.
local function write_cache_entry(key, data)
  redis.call('DEL', key)
  local absolute = string.format('%.0f0000', now + 12 * 3600000 + 62135596800000)
  redis.call('HSET', key, 'absexp', absolute, 'sldexp', '144000000000', 'data', data)
  redis.call('EXPIRE', key, 4 * 3600)
end

-- Tells those who watch groups, and writes what other programs read of users.
local function finish()
  local version
  for key, group_changes in pairs(changed_groups) do
    if not version then
      if redis.call('EXISTS', own .. 'version') == 0 then
        -- Above all versions there may have been before they were lost.
        redis.call('SET', own .. 'version', integer(now * 1000))
      end
      version = integer(redis.call('INCR', own .. 'version'))
    end
    local versions = own .. 'groups:' .. group_changes.hub
    local before = redis.call('HGET', versions, group_changes.group) or '0'
    local after = version
    if redis.call('EXISTS', key) == 0 then
      redis.call('HDEL', versions, group_changes.group)
      after = '0'
    else
      redis.call('HSET', versions, group_changes.group, version)
    end
    local event = cjson.encode({ before, version, after, me, group_changes.list })
    -- Where that is refused, as with a channel prefix that makes another slot, watchers compare versions.
    redis.pcall(publish, channel_prefix .. key, event)
  end
  for user in pairs(changed_users) do
    local newest_first = redis.call('ZREVRANGE', own .. 'mapped:' .. user, 0, 99)
    if #newest_first == 0 then
      redis.call('DEL', name .. 'connection:' .. user, name .. 'connections:' .. user)
    else
      local oldest_first = {}
      for place = #newest_first, 1, -1 do table.insert(oldest_first, newest_first[place]) end
      write_cache_entry(name .. 'connection:' .. user, newest_first[1])
      write_cache_entry(name .. 'connections:' .. user, cjson.encode(oldest_first))
    end
  end
end
