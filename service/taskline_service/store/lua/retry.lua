-- Puts tasks that ended back on their queue, with a fresh attempt budget: nothing else leads out of
-- a terminal state. What a task ended with goes; its attempts and the story of them go on.
-- args: ids, states (terminal ones), call (a nonce of this call)
-- Returns per id true if it was put back, its state if that is not among `states`, or false if
-- there is no such task, 'damaged' if its record is, or 'damaged <key>'.

need_log()
need('ready', 'queue_timeouts', 'retention', 'failed_by')
local states = set_of(args.states)

-- Writes down how the task had ended, and the attempt that did it unless it is there already.
local function remember_end(task, end_us, result_size, error_blob)
  local last = redis.call('LRANGE', PREFIX .. 'a:' .. task.id, -1, -1)[1]
  if task.attempts > ((unpacked(last) or {}).number or 0) then
    remember_attempt(task, error_blob, end_us)
  end
  record_start(task)
  record(task, {
    at = end_us, kind = 'ended', state = task.state,
    attempts = task.attempts, result_size = result_size,
    content = { error = error_blob and #error_blob <= INLINE_BYTES and error_blob or nil },
  })
end

local function put_back(task, due)
  local key, error_key = PREFIX .. 't:' .. task.id, PREFIX .. 'e:' .. task.id
  local ended = redis.call('HMGET', key, 'ea', 'rs')
  local error_blob = redis.pcall('GET', error_key)
  error_blob = type(error_blob) == 'string' and error_blob or nil
  redis.call('ZREM', PREFIX .. 'retention', task.id)
  -- Without its end, `taskline fsck` names it; what is written about it now must be readable.
  remember_end(task, tonumber(ended[1]) or now, tonumber(ended[2] or 0), error_blob)
  task.due = due
  local event = { kind = 'state', state = 'QUEUED', attempts = task.attempts, due = due, retried = true }
  move(task, 'QUEUED', event, nil, 'du', due, 'ry', args.call)  -- counts it out by what it ended with
  redis.call('HDEL', key, 'ea', 're', 'xp', 'rs', 'rv', 'et', 'cr', 'fl', 'lo', 'al', 'ow')
  redis.call('UNLINK', PREFIX .. 'r:' .. task.id, error_key)
  record(task, event)
  put_ready(task)
end

local answers = {}
for i, id in ipairs(args.ids) do
  local task, absent = load(id)
  answers[i] = task and task.state or absent
  local broken = task and (broken_line(task, 'QUEUED') or broken_story(task))
  if task and redis.call('HGET', PREFIX .. 't:' .. id, 'ry') == args.call then
    answers[i] = true  -- this very call: its answer got lost
  elseif task and states[task.state] and not read_spec(id) then
    answers[i] = 'damaged'  -- nobody could execute it
  elseif broken then
    answers[i] = because_of(broken)
  elseif task and states[task.state] then
    put_back(task, now + i - 1)  -- one microsecond apart, so that they keep their order
    answers[i] = true
  end
end
publish()
return cmsgpack.pack(answers)
