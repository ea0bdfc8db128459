-- Makes what is kept of connections what their instance says. ARGV[4] is the last number of a write that the
-- instance knows of, ARGV[5] the number of this one. Then for each connection: hub, id, record or '' if it has ended,
-- and '1' if what other programs read is to be written again. Returns 0 if the instance is not known as it
-- believes to be: it has been swept, or this Redis has lost something.

local at = tonumber(redis.call('HGET', instance, '') or '-1')
if at < tonumber(ARGV[4]) or at >= tonumber(ARGV[5]) then return 0 end
redis.call('HSET', instance, '', ARGV[5])

local function is(field, hub, connection, text, renew)
  local entry = indexed(hub, connection)
  local old
  if entry then
    local owner = owner_of(entry)
    local old_text = redis.call('HGET', own .. 'instance:' .. owner, field)
    if owner == me and old_text == text and not renew then return end
    if owner ~= me then redis.call('HDEL', own .. 'instance:' .. owner, field) end
    old = old_text and cjson.decode(old_text)
  end
  local record = cjson.decode(text)
  if old and (old[1] ~= record[1] or old[2] ~= record[2] or old[4] ~= record[4]) then
    -- Another connection of that id.
    groups_changed(hub, connection, old, nil)
    user_disconnected(hub, connection, old)
    old = nil
  end
  redis.call('HSET', instance, field, text)
  local new_entry = index_entry(connection, record)
  if entry ~= new_entry then
    if entry then redis.call('ZREM', own .. 'connections:' .. hub, entry) end
    redis.call('ZADD', own .. 'connections:' .. hub, 0, new_entry)
  end
  groups_changed(hub, connection, old, record)
  if not old or renew then user_connected(hub, connection, record) end
end

for at_argument = 6, #ARGV, 4 do
  local hub, connection, text = ARGV[at_argument], ARGV[at_argument + 1], ARGV[at_argument + 2]
  local field = hub .. '\0' .. connection
  if text == '' then
    gone(field, hub, connection)
  else
    is(field, hub, connection, text, ARGV[at_argument + 3] == '1')
  end
end
finish()
return 1
