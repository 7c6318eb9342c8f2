-- Reads what came with events that the log tells of, as far as their tasks still have it.
-- args: events = { { id, seq, at, kind } }
-- Returns per event its content, or false if it is no longer kept.

-- Another task may have the id by now: its events were at other times.
local function from_story(event)
  local place = string.format('%.0f-0', event.seq)
  local entry = (read('XRANGE', PREFIX .. 'h:' .. event.id, place, place) or {})[1]
  local told = entry and unpacked(entry[2][2])
  return told and told.at == event.at and (told.content or {})
end

local function short(key)
  local size = read('STRLEN', key)
  return size and size <= INLINE_BYTES and read('GET', key) or nil
end

local function from_record(event)
  local id = event.id
  if event.kind == 'progress' then
    local progress = read('GET', PREFIX .. 'g:' .. id)
    local latest = unpacked(progress)
    return latest and latest.seq == event.seq and latest.at == event.at and { progress = progress }
  elseif event.kind == 'ended' then
    local fields = read('HMGET', PREFIX .. 't:' .. id, 'ea', 're', 'rv') or {}
    local kept = tonumber(fields[2] or nil) and tonumber(fields[2]) > now
    return tonumber(fields[1] or nil) == event.at
      and { error = short(PREFIX .. 'e:' .. id), result = kept and (fields[3] or short(PREFIX .. 'r:' .. id)) or nil }
  end
  return false
end

local contents = {}
for i, event in ipairs(args.events) do
  -- Never nil: with a gap in it, this would be no list.
  contents[i] = from_story(event) or from_record(event) or false
end
return cmsgpack.pack(contents)
