-- Reads one page of the tasks on some lines, by creation time. Each line and state has an index of
-- its own; the page is merged from their heads. With labels, it comes from the index of the rarest
-- of them instead. What no index tells is asked of each task, of so many at most: the page may then
-- be short or empty, and the list still go on.
-- args: states, lines, count, newest_first, want,
--       labels (each "<key>=<value>"; nil: any), types, queues (nil: all; for tasks found by labels),
--       low, high (scores, as text; nil: any),
--       asked = { min_end, max_end, min_attempts, error_types, workers } (nil: nothing),
--       after = { create, id } (nil: from the start)
-- Returns { rev, records (each with `create`), total (nil: that would need a scan),
--           after = { create, id } (nil: there are no more) }.

local CHUNK = 2  -- what is read of a line at first; twice as much each time
local LOOKED_AT = 100

local types, queues = args.types and set_of(args.types), args.queues and set_of(args.queues)
local after = args.after
local command = args.newest_first and 'ZREVRANGEBYSCORE' or 'ZRANGEBYSCORE'
local low, high = args.low or '-inf', args.high or '+inf'
local edge = args.newest_first and low or high
local asked = args.asked or {}
local error_types, workers = asked.error_types and set_of(asked.error_types), asked.workers and set_of(asked.workers)
local states = set_of(args.states)

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
    local page = ask(command, source.key, create or (args.newest_first and high or low), edge,
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

-- Whether the fields of a task meet what no index was asked for.
local function meets(id)
  local fields = read('HMGET', PREFIX .. 't:' .. id, 'st', 'ln', 'ea', 'at', 'et', 'wo') or {}
  local state, line, ended, attempts, error_type, worker = unpack(fields, 1, 6)
  if not state or not states[state] or not line then
    return false
  end
  local task_type, queue = split_line(line)
  ended, attempts = tonumber(ended or nil), tonumber(attempts or 0)
  return attempts and (not types or types[task_type]) and (not queues or queues[queue])
    and (not asked.min_end or ended and ended >= asked.min_end)
    and (not asked.max_end or ended and ended < asked.max_end)
    and attempts >= (asked.min_attempts or 0)
    and (not error_types or error_types[error_type])
    and (not workers or workers[worker])
end

local function has_labels(id)
  for _, label in ipairs(args.labels or {}) do
    if not ask('ZSCORE', label_index(label), id) then
      return false
    end
  end
  return true
end

-- The sources as a heap: the one whose head comes first is sources[1].
local sources, total = {}, 0

local function head_precedes(a, b)
  local x, y = a.entries[a.next], b.entries[b.next]
  return precedes(x[2], x[1], y[2], y[1])
end

-- Lets the source at this place sink to where it belongs.
local function sink(place)
  local source = sources[place]
  while true do
    local child = 2 * place
    if sources[child + 1] and head_precedes(sources[child + 1], sources[child]) then
      child = child + 1
    end
    if not sources[child] or not head_precedes(sources[child], source) then
      break
    end
    sources[place], place = sources[child], child
  end
  sources[place] = source
end

local scans = args.labels or args.asked

local function add(key)
  local size = scans and 1 or ask('ZCARD', key)
  if size > 0 then
    total = total + ((args.low or args.high) and not scans and ask('ZCOUNT', key, low, high) or size)
    local source = { key = key, chunk = CHUNK }
    fill(source, after and after.create, after and after.id)
    if source.entries[1] then
      sources[#sources + 1] = source
    end
  end
end

local function rarest_label()
  local key, size
  for _, label in ipairs(args.labels) do
    local here = ask('ZCARD', label_index(label))
    if not size or here < size then
      key, size = label_index(label), here
    end
  end
  return key
end

if args.labels then
  add(rarest_label())
else
  for _, line in ipairs(args.lines) do
    for _, state in ipairs(args.states) do
      add(index(state, line))
    end
  end
end

for place = math.floor(#sources / 2), 1, -1 do
  sink(place)
end

-- The next entry of all, and its source moved on.
local function take()
  local source = sources[1]
  local entry = source.entries[source.next]
  source.next = source.next + 1
  if not source.entries[source.next] then
    fill(source, entry[2], entry[1])
  end
  if not source.entries[1] then
    local last = table.remove(sources)
    if last == source then
      return entry
    end
    sources[1] = last
  end
  sink(1)
  return entry
end

local records, bytes, more, looked, last = {}, 0, false, 0, nil
while #sources > 0 do
  if #records == args.count or bytes > MAX_BYTES or (scans and looked == LOOKED_AT) then
    more = true
    break
  end
  last = take()
  looked = looked + 1
  local record = (not scans or meets(last[1]) and has_labels(last[1])) and read_record(last[1], args.want)
  if record then
    record.create = last[2]
    records[#records + 1] = record
    bytes = bytes + size_of(record)
  end
end
return cmsgpack.pack({
  rev = present_revision(), records = records, total = not scans and total or nil,
  after = more and { create = last[2], id = last[1] } or nil,
})
