-- What the scripts that change connections share.
--
-- KEYS[1] is the key of the instances. ARGV[1] is the prefix of all keys, with the hash tag that puts them in one slot,
-- ARGV[2] how to publish and, behind a blank, the channel prefix, ARGV[3] the instance whose connections these are, ARGV[4]
-- the hubs that are observed, each between colons. The other keys are built here.
--
-- A record is JSON: [milliseconds since 1970, user or nothing].

local own, me, observed = ARGV[1], ARGV[3], ARGV[4]
local publish, channel_prefix = string.match(ARGV[2], '^(%u+) (.*)$')
local instance = own .. 'instance:' .. me
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local changed_groups, departures = {}, {}
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
  return record[2] and entry .. '\0' .. record[2] or entry
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
  local user = record[2]
  if not user then return end
  redis.call('ZADD', own .. 'users:' .. hub, 0, user)
  redis.call('ZADD', own .. 'user:' .. hub .. ':' .. user, record[1], connection)
end

local function user_disconnected(hub, connection, record)
  local user = record[2]
  if not user then return end
  local key = own .. 'user:' .. hub .. ':' .. user
  redis.call('ZREM', key, connection)
  if redis.call('EXISTS', key) == 0 then redis.call('ZREM', own .. 'users:' .. hub, user) end
end

-- Keeps that a connection has gone until the observers of its hub have handled it.
local function departed(hub, connection, record)
  if not string.find(observed, ':' .. hub .. ':', 1, true) then return end
  local departure = hub .. '\0' .. connection
  if record[2] then departure = departure .. '\0' .. record[2] end
  redis.call('ZADD', own .. 'departed:' .. me, 0, departure)
  table.insert(departures, departure)
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
  if not leave(hub, connection, record[2], room) then return false end
  departed(hub, connection, record)
  redis.call('HDEL', instance, field)
  return true
end

-- Tells those who watch groups.
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
end
