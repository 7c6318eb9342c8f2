-- Comes after the prelude in scripts that check or mend a store. Facts are what there is to know
-- about one thing, read at one instant; false if there is no such thing. They are lists, so that
-- the same facts are always packed into the same text. A damaged store makes nothing here fail.

-- A reply; false if there is nothing, or the key has another type.
local function ask(...)
  local reply = redis.pcall(...)
  return (type(reply) ~= 'table' or not reply.err) and reply or false
end

local function size_of(key)
  return redis.call('EXISTS', key) == 1 and ask('STRLEN', key)
end

-- The numbers of the attempts that are remembered; false for one that cannot be read.
local function attempts_of(id)
  local numbers = {}
  for i, entry in ipairs(ask('LRANGE', PREFIX .. 'a:' .. id, 0, -1) or {}) do
    local attempt = unpacked(entry)
    local whole = type(attempt) == 'table' and attempt.worker and attempt.start and attempt['end']
    numbers[i] = whole and attempt.number or false
  end
  return numbers
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

-- { type, whether it has a TTL, whether there is the record that it belongs to }
FACTS.key = function(name)
  local owner = string.match(name, '^[sregah]:(.+)$')
  return {
    redis.call('TYPE', PREFIX .. name).ok,
    redis.call('PTTL', PREFIX .. name) >= 0,
    owner and redis.call('EXISTS', PREFIX .. 't:' .. owner) == 1 or false,
  }
end

-- { fields, spec, error, progress, attempts, result size, last id in its history,
--   score in the place where its state wants it, score in its index, in queue_timeouts, labels }
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
  return {
    fields,
    spec,
    read_first(PREFIX .. 'e:' .. id) or false,
    ask('GET', PREFIX .. 'g:' .. id),
    attempts_of(id),
    size_of(PREFIX .. 'r:' .. id),
    last_of(PREFIX .. 'h:' .. id),
    ask('ZSCORE', PREFIX .. place_of(state, line), id),
    ask('ZSCORE', index(state, line), id),
    value.qd and ask('ZSCORE', PREFIX .. 'queue_timeouts', id) or false,
    value.lb and labels_of(id, spec) or {},
  }
end

-- { state, line, whether it has a queue timeout, spec } of the task, each false if there is none,
--   and whether it is damaged; subject = { key of the line or index, id, whether the spec is asked for }
FACTS.member = function(subject)
  local key, id, with_spec = unpack(subject)
  if not ask('ZSCORE', PREFIX .. key, id) then
    return false
  end
  local task, absent = load(id)
  if not task then
    return { false, false, false, false, absent == 'damaged' }
  end
  return {
    task.state, task.line, task.queue_timeout and true or false,
    with_spec and read_first(PREFIX .. 's:' .. id) or false, false,
  }
end

-- { whether it is in `lines`, score of its first task, its score in `ready` }
FACTS.line = function(line)
  local first = ask('ZRANGE', PREFIX .. 'q:' .. line, 0, 0, 'WITHSCORES')
  return {
    ask('SISMEMBER', PREFIX .. 'lines', line) == 1,
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

-- { revision, id of the last entry of the log }
FACTS.log = function()
  return { ask('GET', PREFIX .. 'rev'), last_of(PREFIX .. 'log') }
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
