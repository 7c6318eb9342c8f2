-- Puts tasks that ended back on their queue, with a fresh attempt budget: nothing else leads out of
-- a terminal state. What a task ended with goes; its attempts and the story of them go on.
-- args: ids, states (terminal ones), call (a nonce of this call)
-- Returns per id true if it was put back, its state if that is not among `states`, or false if
-- there is no such task.

local states = set_of(args.states)

-- How many attempts the history has: the last entry is one, or tells how many there were.
local function recorded(id)
  local last = redis.call('XREVRANGE', PREFIX .. 'h:' .. id, '+', '-', 'COUNT', 1)[1]
  local entry = last and cmsgpack.unpack(last[2][2])
  return entry and (entry.number or entry.attempts) or 0
end

-- Writes down how the task had ended, and the attempt that did it unless it is there already.
local function remember_end(task, sequence, state, end_us, result_size, error_blob)
  local ended = { state = state, at = end_us, seq = sequence, attempts = task.attempts,
    result_size = result_size, rev = revision }
  local fields = { 'r' }
  if task.attempts > recorded(task.id) then
    fields = { 'a', cmsgpack.pack({
      number = task.attempts, worker = task.worker, start = task.start, ['end'] = end_us,
      start_seq = task.start_sequence, rev = revision, error = error_blob }), 'r' }
  else
    ended.error = error_blob
  end
  fields[#fields + 1] = cmsgpack.pack(ended)
  redis.call('XADD', PREFIX .. 'h:' .. task.id, 'MAXLEN', '~', HISTORY_LENGTH,
    string.format('%.0f-0', sequence), unpack(fields))
end

local function put_back(task, due)
  local key, error_key = PREFIX .. 't:' .. task.id, PREFIX .. 'e:' .. task.id
  local record = redis.call('HMGET', key, 'ea', 'rs')
  local error_blob = redis.call('GET', error_key) or nil
  local state, sequence = task.state, task.sequence
  task.due = due
  redis.call('ZREM', PREFIX .. 'retention', task.id)
  redis.call('HDEL', key, 'ea', 're', 'xp', 'rs', 'et', 'cr', 'fl', 'lo')
  redis.call('DEL', PREFIX .. 'r:' .. task.id, error_key)
  move(task, 'QUEUED',
    { kind = 'state', state = 'QUEUED', attempts = task.attempts, due = due, retried = true },
    'du', due, 'ry', args.call)
  remember_end(task, sequence, state, tonumber(record[1]), tonumber(record[2] or 0), error_blob)
  put_ready(task)
end

local answers = {}
for i, id in ipairs(args.ids) do
  local task = load(id)
  answers[i] = task and task.state or false
  if task and redis.call('HGET', PREFIX .. 't:' .. id, 'ry') == args.call then
    answers[i] = true  -- this very call: its answer got lost
  elseif task and states[task.state] then
    put_back(task, now + i - 1)  -- one microsecond apart, so that they keep their order
    answers[i] = true
  end
end
publish()
return cmsgpack.pack(answers)
