-- The story of a task, as far as t:<id> does not tell it.

local HISTORY_LENGTH = 1000
local HISTORY_BYTES = 16777216  -- of outputs; beyond, the older half goes
local ATTEMPTS_KEPT = 20

-- Keeps an event that t:<id> will not tell of later, and its output if it has one.
local function record(task, event, output)
  -- Not the event itself: what others have in common with it is told of it as it is.
  local kept = { id = task.id, seq = task.sequence, at = now, prev = task.recorded, rev = revision }
  for name, value in pairs(event) do
    kept[name] = value
  end
  local stream = PREFIX .. 'h:' .. task.id
  local fields = { 'e', cmsgpack.pack(kept) }
  if output then
    fields[3], fields[4] = 'o', output
    local bytes = (tonumber(redis.call('HGET', PREFIX .. 't:' .. task.id, 'hb') or 0) or 0) + #output
    if bytes > HISTORY_BYTES then
      redis.call('XTRIM', stream, 'MAXLEN', math.floor(redis.call('XLEN', stream) / 2))
      bytes = HISTORY_BYTES / 2
    end
    redis.call('HSET', PREFIX .. 't:' .. task.id, 'hb', bytes)
  end
  redis.call('XADD', stream, 'MAXLEN', '~', HISTORY_LENGTH,
    string.format('%.0f-0', kept.seq), unpack(fields))
  redis.call('HSET', PREFIX .. 't:' .. task.id, 'hs', kept.seq)
  task.recorded = kept.seq
end

-- The same for the start of the present attempt, before anything that comes after it.
local function record_start(task)
  if task.start_sequence > task.recorded then
    record(task, {
      seq = task.start_sequence, at = task.start, kind = 'state',
      state = 'RUNNING', attempts = task.attempts, worker = task.worker,
    })
  end
end

-- Writes down an attempt that will be followed by another one.
local function remember_attempt(task, error_blob, end_us)
  local kept = redis.call('RPUSH', PREFIX .. 'a:' .. task.id, cmsgpack.pack({
    number = task.attempts, worker = task.worker, start = task.start, ['end'] = end_us or now,
    error = error_blob }))
  if kept > ATTEMPTS_KEPT then
    redis.call('LTRIM', PREFIX .. 'a:' .. task.id, -ATTEMPTS_KEPT, -1)
  end
end
