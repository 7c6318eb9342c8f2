-- Reads one page of tasks by creation time. Each line and state has an index of its own;
-- the page is merged from the heads of those that match.
-- args: states, types (nil: all), queues (nil: all), count, newest_first, want,
--       after = { create, id } (nil: from the start)
-- Returns { rev, records, total, more }.

local CHUNK = 10
local MAX_BYTES = 4194304  -- of inputs and tracebacks in one page; it is then cut short

local types, queues = args.types and set_of(args.types), args.queues and set_of(args.queues)
local after = args.after
local command = args.newest_first and 'ZREVRANGEBYSCORE' or 'ZRANGEBYSCORE'
local edge = args.newest_first and '-inf' or '+inf'

-- Whether (create, id) a comes before b in this list.
local function precedes(a_create, a_id, b_create, b_id)
  if a_create == b_create then
    if args.newest_first then
      return a_id > b_id
    end
    return a_id < b_id
  end
  if args.newest_first then
    return a_create > b_create
  end
  return a_create < b_create
end

-- Fills a source with its next entries behind (create, id). Entries of the same instant
-- come in the order of their ids, so those already seen are passed over.
local function fill(source, create, id)
  local want = source.chunk
  repeat
    local page = redis.call(command, source.key, create or (args.newest_first and '+inf' or '-inf'), edge,
      'WITHSCORES', 'LIMIT', 0, want)
    source.entries, source.next = {}, 1
    for i = 1, #page, 2 do
      local score = tonumber(page[i + 1])
      if not create or precedes(create, id, score, page[i]) then
        source.entries[#source.entries + 1] = { page[i], score }
      end
    end
    local exhausted = #page < 2 * want
    want = want * 2
  until #source.entries > 0 or exhausted
  source.chunk = math.min(source.chunk * 2, args.count + 1)
end

local sources, total = {}, 0
for _, line in ipairs(redis.call('SMEMBERS', PREFIX .. 'lines')) do
  local task_type, queue = split_line(line)
  if (not types or types[task_type]) and (not queues or queues[queue]) then
    for _, state in ipairs(args.states) do
      local source = { key = index(state, line), chunk = CHUNK }
      local size = redis.call('ZCARD', source.key)
      if size > 0 then
        total = total + size
        fill(source, after and after.create, after and after.id)
        if source.entries[1] then
          sources[#sources + 1] = source
        end
      end
    end
  end
end

local records, bytes, more = {}, 0, false
while #sources > 0 do
  local best = 1
  for i = 2, #sources do
    local a, b = sources[i].entries[sources[i].next], sources[best].entries[sources[best].next]
    if precedes(a[2], a[1], b[2], b[1]) then
      best = i
    end
  end
  if #records == args.count or bytes > MAX_BYTES then
    more = true
    break
  end
  local source = sources[best]
  local entry = source.entries[source.next]
  local record = read_record(entry[1], args.want)
  if record then
    records[#records + 1] = record
    bytes = bytes + #(record.spec or '') + #(record.error or '')
  end
  source.next = source.next + 1
  if not source.entries[source.next] then
    fill(source, entry[2], entry[1])
    if not source.entries[1] then
      table.remove(sources, best)
    end
  end
end
return cmsgpack.pack({ rev = present_revision(), records = records, total = total, more = more })
