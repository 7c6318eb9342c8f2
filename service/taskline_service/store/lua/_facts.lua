-- Comes after the prelude in scripts that check or mend a store. Facts are what there is to know
-- about one thing, read at one instant; false if there is no such thing. They are lists, so that
-- the same facts are always packed into the same text. A damaged store makes nothing here fail.

-- A reply; false if there is nothing, or the key has another type: here, nothing is given up.
local function ask(...)
  local reply = redis.pcall(...)
  return (type(reply) ~= 'table' or not reply.err) and reply or false
end

local function last_of(stream)
  local entries = ask('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  return entries and entries[1] and entries[1][1] or false
end

local function place_of(state, line)
  if state == 'QUEUED' then
    return 'q:' .. line
  elseif state == 'RUNNING' then
    return 'leases'
  elseif TERMINAL[state] then
    return 'retention'
  end
  return 'due'
end

-- { { label, score in its index } }
local function labels_of(id, spec)
  local fields, labels = unpacked(spec), {}
  for name, value in pairs(type(fields) == 'table' and type(fields.l) == 'table' and fields.l or {}) do
    if type(name) == 'string' and type(value) == 'string' then
      local label = name .. '=' .. value
      labels[#labels + 1] = { label, ask('ZSCORE', label_index(label), id) }
    end
  end
  return labels
end

local FACTS = {}

-- { type, whether it has a TTL, what the record that it belongs to is: 'sound', 'damaged', or false }
FACTS.key = function(name)
  local owner = string.match(name, '^[tsregah]:(.+)$')
  local task, absent
  if owner then
    task, absent = load(owner)
  end
  return {
    redis.call('TYPE', PREFIX .. name).ok,
    redis.call('PTTL', PREFIX .. name) >= 0,
    task and 'sound' or absent or false,
  }
end

-- { whether no move understands its record, fields, spec, error, progress, result size, last id in
--   its history, number of attempts kept, score in the place where its state wants it, score in its
--   index, in queue_timeouts, labels }
FACTS.task = function(id)
  local fields = ask('HGETALL', PREFIX .. 't:' .. id)
  if not fields or not fields[1] then
    return false
  end
  local value = {}
  for i = 1, #fields, 2 do
    value[fields[i]] = fields[i + 1]
  end
  local state, line, spec = value.st or '', value.ln or '', read_first(PREFIX .. 's:' .. id) or false
  local error, progress, result, history, attempts =
    PREFIX .. 'e:' .. id, PREFIX .. 'g:' .. id, PREFIX .. 'r:' .. id, PREFIX .. 'h:' .. id, PREFIX .. 'a:' .. id
  -- Most tasks have none of these, and one question is cheaper than five.
  local more = redis.call('EXISTS', error, progress, result, history, attempts) > 0
  return {
    not load(id),
    fields,
    spec,
    more and read_first(error) or false,
    more and ask('GET', progress),
    value.rv and #value.rv or more and redis.call('EXISTS', result) == 1 and ask('STRLEN', result),
    more and last_of(history),
    more and ask('LLEN', attempts) or 0,
    ask('ZSCORE', PREFIX .. place_of(state, line), id),
    ask('ZSCORE', index(state, line), id),
    value.qd and ask('ZSCORE', PREFIX .. 'queue_timeouts', id) or false,
    value.lb and labels_of(id, spec) or {},
  }
end

-- { state, attempts, numbers of those that are kept, false for one that cannot be read }
FACTS.attempts = function(id)
  local fields = ask('HMGET', PREFIX .. 't:' .. id, 'st', 'at')
  if not fields or not fields[1] then
    return false
  end
  local numbers = {}
  for i, entry in ipairs(ask('LRANGE', PREFIX .. 'a:' .. id, 0, -1) or {}) do
    local attempt = unpacked(entry)
    local whole = type(attempt) == 'table' and attempt.worker and attempt.start and attempt['end']
    numbers[i] = whole and attempt.number or false
  end
  return { fields[1], fields[2], numbers }
end

local function is_labelled(id, label)
  local spec = unpacked(read_first(PREFIX .. 's:' .. id))
  if type(spec) ~= 'table' then
    return 'untold'
  end
  for name, value in pairs(type(spec.l) == 'table' and spec.l or {}) do
    if name .. '=' .. value == label then
      return true
    end
  end
  return false
end

-- Whether a task says of itself that it is in this line or index; 'untold' if it says nothing
-- that can be understood.
local function belongs(key, task)
  local label = string.match(key, '^label:(.*)$')
  if label then
    return is_labelled(task.id, label)
  elseif key == 'queue_timeouts' then
    return task.state == 'QUEUED' and task.queue_timeout
  end
  return key == place_of(task.state, task.line) or key == 'i:' .. task.state .. ':' .. task.line
end

-- subject = { key of a line or an index, id that was seen in it }: 'right' if it belongs there, or
-- that cannot be told; 'absent' if there is no such task, 'damaged' if its record is; else
-- { state, line }.
FACTS.member = function(subject)
  local key, id = subject[1], subject[2]
  local task, absent = load(id)
  if task and belongs(key, task) then
    return 'right'
  elseif not ask('ZSCORE', PREFIX .. key, id) then
    return false
  end
  return task and { task.state, task.line } or absent or 'absent'
end

local function has_tasks(line)
  if redis.call('EXISTS', PREFIX .. 'q:' .. line) == 1 then
    return true
  end
  for state in pairs(EDGES) do
    if redis.call('EXISTS', index(state, line)) == 1 then
      return true
    end
  end
  return false
end

-- { whether it is in `lines`, whether it has tasks, score of its first task, its score in `ready` }
FACTS.line = function(line)
  local first = ask('ZRANGE', PREFIX .. 'q:' .. line, 0, 0, 'WITHSCORES')
  return {
    ask('SISMEMBER', PREFIX .. 'lines', line) == 1,
    has_tasks(line),
    first and first[2] or false,
    ask('ZSCORE', PREFIX .. 'ready', line),
  }
end

-- { whether it was published, whether it is known when it was last seen }
FACTS.task_type = function(name)
  return {
    ask('HEXISTS', PREFIX .. 'types', name) == 1,
    ask('ZSCORE', PREFIX .. 'types_seen', name) and true or false,
  }
end

-- { revision, id of the last entry that the log ever had }
FACTS.log = function()
  local about, last = ask('XINFO', 'STREAM', PREFIX .. 'log') or {}, false
  for i = 1, #about, 2 do
    last = about[i] == 'last-generated-id' and about[i + 1] or last
  end
  return { ask('GET', PREFIX .. 'rev'), last }
end

-- { state, error type, sequence }
FACTS.failed = function(id)
  return ask('HMGET', PREFIX .. 't:' .. id, 'st', 'et', 'sq') or { false, false, false }
end

-- { counters of failed_by, size of the indexes of FAILED tasks, number of all lines };
--   subject = { fields, lines }
FACTS.failed_by = function(subject)
  local fields, lines = unpack(subject)
  local size = 0
  for _, line in ipairs(lines) do
    size = size + (ask('ZCARD', index('FAILED', line)) or 0)
  end
  return {
    ask('HMGET', PREFIX .. 'failed_by', unpack(fields)) or {}, size, ask('SCARD', PREFIX .. 'lines') or 0,
  }
end
