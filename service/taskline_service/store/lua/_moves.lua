-- What the moves of tasks are made of.

local MINUTE_US = 60000000
local LOG_LENGTH = 100000
local AFTER_RESULT = 86400000000

local coming, going = {}, {}

-- Puts an id into an index or a line, or takes it out. The store is told by write_places(), of all
-- that a call moves at once: one command for each key, and not for each task. Whatever reads such a
-- key in the same call has that done before.
local function put(key, score, id)
  local here = coming[key]
  if not here then
    here = {}
    coming[key] = here
  end
  here[id] = score
end

local function take(key, id)
  if coming[key] then
    coming[key][id] = nil
  end
  local here = going[key]
  if not here then
    here = {}
    going[key] = here
  end
  here[#here + 1] = id
end

local function write_places()
  for key, ids in pairs(going) do
    redis.call('ZREM', key, unpack(ids))
  end
  for key, scores in pairs(coming) do
    local entries = {}
    for id, score in pairs(scores) do
      entries[#entries + 1], entries[#entries + 2] = score, id
    end
    if entries[1] then
      redis.call('ZADD', key, unpack(entries))
    end
  end
  coming, going = {}, {}
end

-- Puts a task in another state, with any further fields, and tells its watchers; `own` as of emit().
-- Nothing else sets `st` of a task that exists.
local function move(task, state, event, own, ...)
  if not EDGES[task.state][state] then
    error(task.state .. ' -> ' .. state .. ': no such move')
  end
  take(index(task.state, task.line), task.id)
  if task.state == 'FAILED' then
    forget_failed(task)
  end
  count_move(task, state)
  if TERMINAL[task.state] then
    event.begins = true  -- it is followed anew, as after its creation
  end
  emit(task, event, own)
  put(index(state, task.line), task.create, task.id)
  redis.call('HSET', PREFIX .. 't:' .. task.id, 'st', state, 'sq', task.sequence, 'up', us(now), ...)
  task.state = state
end

local first_ready = {}

-- Puts a QUEUED task into its line.
local function put_ready(task)
  local score = task.due - task.priority * MINUTE_US
  put(PREFIX .. 'q:' .. task.line, score, task.id)
  first_ready[task.line] = math.min(first_ready[task.line] or score, score)
  if task.queue_timeout then
    redis.call('ZADD', PREFIX .. 'queue_timeouts', task.due + task.queue_timeout, task.id)
  end
end

-- Takes a QUEUED task out of its line.
local function take_ready(task)
  take(PREFIX .. 'q:' .. task.line, task.id)
  if task.queue_timeout then
    redis.call('ZREM', PREFIX .. 'queue_timeouts', task.id)
  end
end

-- Brings `ready` in step with what is first in the line now; returns that score, or nil.
local function refresh(line)
  write_places()
  local first = redis.call('ZRANGE', PREFIX .. 'q:' .. line, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', PREFIX .. 'ready', first[2], line)
    return tonumber(first[2])
  end
  redis.call('ZREM', PREFIX .. 'ready', line)
end

-- Stores the failure of an attempt; returns its blob.
local function write_error(task, error, traceback)
  error.at, error.retries = now, math.max(task.attempts - 1, 0)
  local blob = to_blob(cmsgpack.pack(error), traceback)
  redis.call('SET', PREFIX .. 'e:' .. task.id, blob)
  return blob
end

-- The last move of a task: it keeps its result for `result_ttl` (if it has one) and its
-- record for args.record_ttl; if the result would not go before that, for a while after it, so that it
-- can be told that there was one.
local function finish(task, state, own, result_ttl, ...)
  local record_ttl = args.record_ttl
  if result_ttl and result_ttl >= record_ttl then
    record_ttl = result_ttl + math.min(record_ttl, AFTER_RESULT)
  end
  local record_expire = now + record_ttl
  local result_expire = result_ttl and now + result_ttl
  local event = {
    kind = 'ended', state = state, attempts = task.attempts, result_expire = result_expire,
    expire = record_expire,
  }
  if result_expire then
    move(task, state, event, own, 'ea', us(now), 'xp', us(record_expire), 're', us(result_expire), ...)
  else
    move(task, state, event, own, 'ea', us(now), 'xp', us(record_expire), ...)
  end
  put(PREFIX .. 'retention', us(result_expire or record_expire), task.id)
end

local function finish_with_error(task, state, error, traceback)
  local blob = write_error(task, error, traceback)
  task.error_type = error.type
  local own = { content = { error = #blob <= INLINE_BYTES and blob or nil } }
  finish(task, state, own, nil, 'et', error.type)
end

-- Ends a task that was asked to stop while it ran; cancel.lua left the error to end with.
local function finish_cancelled(task)
  local first = read_first(PREFIX .. 'e:' .. task.id)
  finish_with_error(task, 'CANCELLED', unpacked(first) or { type = 'cancelled', message = '' })
end

-- Lets a task wait for another attempt until `due`; `task` must have been RUNNING.
local function retry_at(task, due, error, traceback, ...)
  local blob = write_error(task, error, traceback)
  task.error_type = error.type
  local event = {
    kind = 'state', state = 'RETRYING', attempts = task.attempts, due = due,
    content = { error = #blob <= INLINE_BYTES and blob or nil },
  }
  record_start(task)
  move(task, 'RETRYING', event, nil, 'du', due, 'et', error.type, ...)
  record(task, event)
  remember_attempt(task, blob)
  redis.call('ZADD', PREFIX .. 'due', due, task.id)
end

-- A line is known as long as it has tasks.
local function forget_if_empty(line)
  write_places()
  for state in pairs(EDGES) do
    if redis.call('EXISTS', index(state, line)) == 1 then
      return
    end
  end
  redis.call('SREM', PREFIX .. 'lines', line)
end

local function lost_too_often(error, times)
  local copy = {}
  for field, value in pairs(error) do copy[field] = value end
  copy.message = string.format('%s; lost %d times, it is not tried again', error.message, times)
  return copy
end

-- Takes a RUNNING task from a worker, or a child process of one, that is gone. A task that has
-- lost args.max_lost of them fails: it may well be what kills them. `counted` is 0 if it is not.
local function lose(task, error, retry_delay, counted)
  local lost = task.lost + counted
  redis.call('HSET', PREFIX .. 't:' .. task.id, 'lo', lost)
  if task.cancel then
    finish_cancelled(task)
  elseif lost >= args.max_lost then
    finish_with_error(task, 'FAILED', lost_too_often(error, lost))
  else
    retry_at(task, now + retry_delay, error)
  end
end

-- Removes an ended task and everything about it; broken_label() has read its labels.
local function remove(task)
  local id, here = task.id, index(task.state, task.line)
  take(here, id)
  write_places()
  if redis.call('EXISTS', here) == 0 then
    forget_if_empty(task.line)
  end
  redis.call('ZREM', PREFIX .. 'retention', id)
  if task.state == 'FAILED' then
    forget_failed(task)
  end
  for _, label in ipairs(task.labels) do
    redis.call('ZREM', label_index(label), id)
  end
  -- Not DEL: a long story is then freed beside everything else.
  redis.call('UNLINK', PREFIX .. 't:' .. id, PREFIX .. 's:' .. id, PREFIX .. 'r:' .. id,
    PREFIX .. 'e:' .. id, PREFIX .. 'g:' .. id, PREFIX .. 'a:' .. id, PREFIX .. 'h:' .. id)
end

-- Gives the log and the watchers the events of this call.
local function tell()
  for _, run in ipairs(runs) do
    run[1].content = nil
  end
  local kept = cmsgpack.pack({ rev = revision, runs = runs })
  redis.call('XADD', PREFIX .. 'log', 'MAXLEN', '~', LOG_LENGTH, string.format('%.0f-%.0f', revision, now),
    'e', kept)
  redis.call('PUBLISH', PREFIX .. 'events', to_blob(kept, cmsgpack.pack(contents)))
end

-- Ends every script that changes tasks: wakes workers, tells what happened, and writes down what
-- is counted.
local function publish()
  write_places()
  local woken = {}
  for line, score in pairs(first_ready) do
    redis.call('ZADD', PREFIX .. 'ready', 'LT', score, line)
    woken[#woken + 1] = line
  end
  if #woken > 0 then
    redis.call('PUBLISH', PREFIX .. 'wake', cmsgpack.pack(woken))
  end
  if revision then
    tell()
  end
  write_stats()
end
