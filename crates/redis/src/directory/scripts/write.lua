-- Makes what is kept of connections what their instance says. ARGV[5] is the last number of a write that the
-- instance knows of, ARGV[6] the number of this one. Then for each connection: hub, id, record or '' if it has ended,
-- and what has changed of its groups: '', or in JSON those it is in now, those it is not in now, and perhaps from which
-- name to which (as ZRANGEBYLEX has it) those follow that it is in, there and nowhere else. Returns how many connections
-- have been written, from the first on, or -1 if the instance is not known as it believes to be: it has been swept, or
-- this Redis has lost something; and the departures.

local at = tonumber(redis.call('HGET', instance, '') or '-1')
if at < tonumber(ARGV[5]) or at >= tonumber(ARGV[6]) then return { -1, {} } end
redis.call('HSET', instance, '', ARGV[6])

-- Makes the connection's groups from one name to another those that are listed; returns whether they are.
local function settle(hub, connection, user, from, to, groups)
  local is_there = {}
  for _, group in ipairs(groups) do
    is_there[group] = true
    joined(hub, connection, group, user)
  end
  for _, group in ipairs(redis.call('ZRANGEBYLEX', joined_key(hub, connection), from, to)) do
    if not is_there[group] then
      if room <= 0 then return false end
      room = room - 1
      left(hub, connection, group, user)
    end
  end
  return true
end

local function is(field, hub, connection, text, groups)
  local entry = indexed(hub, connection)
  local record, old = cjson.decode(text), nil
  if entry then
    local owner = owner_of(entry)
    local old_text = redis.call('HGET', own .. 'instance:' .. owner, field)
    if owner ~= me then redis.call('HDEL', own .. 'instance:' .. owner, field) end
    old = old_text and cjson.decode(old_text)
  end
  if old and (old[1] ~= record[1] or old[2] ~= record[2]) then
    -- Another connection of that id.
    leave(hub, connection, old[2], -1)
    user_disconnected(hub, connection, old)
    if old[2] ~= record[2] then departed(hub, connection, old) end
    old = nil
  end
  redis.call('HSET', instance, field, text)
  local new_entry = index_entry(connection, record)
  if entry ~= new_entry then
    if entry then redis.call('ZREM', own .. 'connections:' .. hub, entry) end
    redis.call('ZADD', own .. 'connections:' .. hub, 0, new_entry)
  end
  if not old then user_connected(hub, connection, record) end
  if groups == '' then return true end
  local changes = cjson.decode(groups)
  for _, group in ipairs(changes[1]) do joined(hub, connection, group, record[2]) end
  for _, group in ipairs(changes[2]) do left(hub, connection, group, record[2]) end
  return not changes[5] or settle(hub, connection, record[2], changes[3], changes[4], changes[5])
end

local written = 0
for at_argument = 7, #ARGV, 4 do
  local hub, connection, text = ARGV[at_argument], ARGV[at_argument + 1], ARGV[at_argument + 2]
  local field = hub .. '\0' .. connection
  local is_written
  if text == '' then
    is_written = gone(field, hub, connection)
  else
    is_written = is(field, hub, connection, text, ARGV[at_argument + 3])
  end
  if not is_written then break end
  written = written + 1
  if room <= 0 then break end
end
finish()
return { written, departures }
