-- Comes before every script. KEYS[1] is the prefix "taskline:{<namespace>.<partition>}:";
-- its hash tag keeps all keys of a partition in one slot. ARGV[1] is one msgpack map.
--
-- The keys, by what follows the prefix. User text is always the last part of a key.
--   t:<id>   HASH    what changes about a task; every value is short, so that it stays a listpack:
--                    st state  ln line  ct create_us  du due_us  pr priority  qd queue timeout, in us
--                    at attempts  fl failed ones  lo lost ones  no nonce of the claim  wo worker
--                    sa start_us  ea end_us  up update_us  sq sequence  ss sequence of the start
--                    cr cancel_request_us  et error type  rs result size
--                    re result_expire_us  xp expire_us  hs sequence of the last event in h:<id>
--                    lg number of the last entry that was appended, to recognise a repeat
--                    hb bytes of output in h:<id>, about  lb 1 if it has labels
--                    ry nonce of the call that last put it back on its queue
--   s:<id>   STRING  blob of what was enqueued: the spec in msgpack, and the input
--   r:<id>   STRING  the result
--   e:<id>   STRING  blob of the last failure: the error in msgpack, and its traceback; while a
--                    RUNNING task has been asked to stop, the error that it will end with
--   g:<id>   STRING  the latest progress, in msgpack
--   a:<id>   LIST    attempts that others followed, the latest of them, oldest first
--   h:<id>   STREAM  by sequence, what happened that t:<id> does not tell: log lines, outputs, and
--                    changes of state that others followed: e the event, which knows the one
--                    before (prev); o the output, if there is one
--   i:<STATE>:<line>  ZSET  ids by create_us; counts and lists come from these
--   label:<key>=<value>  ZSET  ids that have the label, by create_us
--   q:<line> ZSET    ids that wait for a worker, by due_us less a minute per level of priority
--   ready    ZSET    lines with waiting tasks, by the score of their first one
--   due      ZSET    SCHEDULED and RETRYING ids by due_us
--   queue_timeouts  ZSET  QUEUED ids that must start by then
--   leases   ZSET    RUNNING ids by the end of their lease
--   retention ZSET   ended ids by when the result, and then the record, goes
--   lines    SET     every line so far; a line is "<task type>:<queue>"
--   paused   SET     queues that hand out nothing
--   types    HASH    task type -> what its code published    types_seen  ZSET  by when, last
--   workers  ZSET    worker ids by last heartbeat            w:<worker>  STRING  about it
--   failed_by HASH   "<error type>:<queue>" -> FAILED tasks now known
--   stats:<width>:<start>:<queue>  HASH  what happened in so many seconds from then on; without
--                    a queue, on all of them: enqueued, completed, failed, retried, and by bin of
--                    the time they took, q<bin> starts and r<bin> ends of attempts; has a TTL
--   rev      STRING  the revision: counts the calls that changed tasks
--   log      STREAM  by revision: the events of each such call
-- Channels: `events` carries what `log` gets; `wake` lines that have tasks; `cancel` claims to stop.
--
-- A blob is two strings in one: the length of the first in 4 bytes, the first, the second.
--
-- Rules: read and check before the first write. Where tasks must be able to go on while
-- the store is out of memory, the first write is one that frees (ZREM): Redis then lets the
-- rest pass. Numbers go to redis.call as numbers, never through `..`, which rounds them.

local PREFIX = KEYS[1]
local args = cmsgpack.unpack(ARGV[1])
local MINUTE_US = 60000000
local LOG_LENGTH = 100000
local HISTORY_LENGTH = 1000
local HISTORY_BYTES = 16777216  -- of outputs; beyond, the older half goes
local ATTEMPTS_KEPT = 20
local INLINE_BYTES = 4096  -- a larger outcome is not sent with its event, but read when asked for

local seconds_and_us = redis.call('TIME')
local now = seconds_and_us[1] * 1000000 + seconds_and_us[2]

local FIELDS = { 'st', 'ln', 'ct', 'du', 'pr', 'qd', 'at', 'fl', 'lo', 'no', 'wo', 'sa', 'sq', 'ss', 'cr',
  'hs', 'lg' }

-- What a move needs to know of a task, or nil if there is none.
local function load(id)
  local v = redis.call('HMGET', PREFIX .. 't:' .. id, unpack(FIELDS))
  if not v[1] or not EDGES[v[1]] then
    return nil
  end
  return {
    id = id, state = v[1], line = v[2], create = tonumber(v[3]), due = tonumber(v[4]),
    priority = tonumber(v[5] or 0), queue_timeout = v[6] and tonumber(v[6]),
    attempts = tonumber(v[7] or 0), failed = tonumber(v[8] or 0), lost = tonumber(v[9] or 0),
    nonce = v[10], worker = v[11], start = tonumber(v[12] or 0), sequence = tonumber(v[13]),
    start_sequence = tonumber(v[14] or 0), cancel = v[15],
    recorded = tonumber(v[16] or 0), appended = tonumber(v[17] or 0),
  }
end

-- The task, if the claim on it is still good; else nil, and 'repeated' if this very claim
-- ended the attempt before (its answer got lost), 'lost' if the claim was taken away.
local function held(claim)
  local task = load(claim.id)
  if not task or task.attempts ~= claim.attempt or task.nonce ~= claim.nonce then
    return nil, 'lost'
  end
  if task.state ~= 'RUNNING' then
    return nil, 'repeated'
  end
  return task
end

local function to_blob(first, second)
  return struct.pack('>I4', #first) .. first .. (second or '')
end

-- The first string of a blob, without reading the rest of a long one.
local function read_first(key)
  local start = redis.call('GETRANGE', key, 0, 511)
  if #start < 4 then
    return nil
  end
  local length = struct.unpack('>I4', start)
  if length + 4 > #start then
    return redis.call('GETRANGE', key, 4, length + 3)
  end
  return string.sub(start, 5, length + 4)
end

local function set_of(list)
  local set = {}
  for _, member in ipairs(list) do
    set[member] = true
  end
  return set
end

-- A line is "<task type>:<queue>"; a type has no colon, a queue may.
local function split_line(line)
  local colon = string.find(line, ':', 1, true)
  return string.sub(line, 1, colon - 1), string.sub(line, colon + 1)
end

-- How long until the first entry of a line of times is due, in us; nil if it is empty.
local function wait_for(name)
  local first = redis.call('ZRANGE', PREFIX .. name, 0, 0, 'WITHSCORES')
  return first[1] and math.max(0, tonumber(first[2]) - now) or nil
end

local events, revision = {}, nil

-- Tells watchers; `line` is for those who watch by filter. Raises the task's sequence, which
-- the caller's HSET stores.
local function emit(task, event)
  revision = revision or redis.call('INCR', PREFIX .. 'rev')
  task.sequence = task.sequence + 1
  event.id, event.line, event.seq, event.at = task.id, task.line, task.sequence, now
  events[#events + 1] = event
end

local function index(state, line)
  return PREFIX .. 'i:' .. state .. ':' .. line
end

local function label_index(label)
  return PREFIX .. 'label:' .. label
end

-- Statistics. What happens in one call is added up here and written once, by publish().

-- Times are counted in bins that grow by this factor, so that their middle is at most
-- 9 percent off.
local BIN_GROWTH = 1.18
local BINS_PER_E = 1 / math.log(BIN_GROWTH)
-- Buckets of `width` seconds are kept for as long as `reach`: long windows take wider ones.
local BUCKETS = { { width = 60, reach = 7200 }, { width = 900, reach = 86400 } }

local happened, failed_now = {}, {}

local function count(line, what)
  local here = happened[line]
  if not here then
    here = {}
    happened[line] = here
  end
  here[what] = (here[what] or 0) + 1
end

local log = math.log

local function bin_of(us)
  if us < 2 then
    return 0
  end
  local bin = log(us) * BINS_PER_E
  return bin - bin % 1
end

-- Starts are counted under the number of their bin, ends under its complement: this is done
-- for every task, and text is made of it once per call.
local function name_of(what)
  if type(what) == 'string' then
    return what
  end
  return what >= 0 and 'q' .. what or 'r' .. -1 - what
end

local COUNTED = { COMPLETED = 'completed', FAILED = 'failed', RETRYING = 'retried' }

local function failed_field(error_type, line)
  local _, queue = split_line(line)
  return error_type .. ':' .. queue
end

-- Counts a move, before it is made. The time of an attempt counts if the attempt came to an
-- end by itself: not if it was cancelled, given back, or lost with its worker.
local function count_move(task, to)
  if to == 'RUNNING' then
    count(task.line, bin_of(now - task.due))
  elseif COUNTED[to] then
    count(task.line, COUNTED[to])
    if task.state == 'RUNNING' and task.error_type ~= 'worker_lost' then
      count(task.line, -1 - bin_of(now - task.start))
    end
  end
  if to == 'FAILED' and task.error_type then
    local field = failed_field(task.error_type, task.line)
    failed_now[field] = (failed_now[field] or 0) + 1
  end
end

-- A FAILED task goes, or is put back on its queue. Its `et` must still be there.
local function forget_failed(task)
  local error_type = redis.call('HGET', PREFIX .. 't:' .. task.id, 'et')
  local field = error_type and failed_field(error_type, task.line)
  if field and redis.call('HINCRBY', PREFIX .. 'failed_by', field, -1) <= 0 then
    redis.call('HDEL', PREFIX .. 'failed_by', field)
  end
end

-- Adds what happened in this call to a bucket of each width.
local function write_bucket(queue, sums)
  for _, kind in ipairs(BUCKETS) do
    local start = seconds_and_us[1] - seconds_and_us[1] % kind.width
    local key = string.format('%sstats:%d:%d:%s', PREFIX, kind.width, start, queue)
    local fresh = false
    for what, number in pairs(sums) do
      fresh = redis.call('HINCRBY', key, what, number) == number or fresh
    end
    if fresh then  -- perhaps the whole bucket is
      redis.call('EXPIREAT', key, start + 2 * kind.width + kind.reach)
    end
  end
end

local function write_stats()
  local all, by_queue = {}, {}
  for line, sums in pairs(happened) do
    local _, queue = split_line(line)
    by_queue[queue] = by_queue[queue] or {}
    for what, number in pairs(sums) do
      local name = name_of(what)
      by_queue[queue][name] = (by_queue[queue][name] or 0) + number
      all[name] = (all[name] or 0) + number
    end
  end
  if next(all) then
    write_bucket('', all)
  end
  for queue, sums in pairs(by_queue) do
    write_bucket(queue, sums)
  end
  for field, number in pairs(failed_now) do
    redis.call('HINCRBY', PREFIX .. 'failed_by', field, number)
  end
end

-- Puts a task in another state, with any further fields, and tells its watchers.
-- Nothing else sets `st` of a task that exists.
local function move(task, state, event, ...)
  assert(EDGES[task.state][state], task.state .. ' -> ' .. state .. ': no such move')
  redis.call('ZREM', index(task.state, task.line), task.id)
  if task.state == 'FAILED' then
    forget_failed(task)
  end
  count_move(task, state)
  event.begins = TERMINAL[task.state]  -- it is followed anew, as after its creation
  emit(task, event)
  redis.call('ZADD', index(state, task.line), task.create, task.id)
  redis.call('HSET', PREFIX .. 't:' .. task.id, 'st', state, 'sq', task.sequence, 'up', now, ...)
  task.state = state
end

local first_ready = {}

-- Puts a QUEUED task into its line.
local function put_ready(task)
  local score = task.due - task.priority * MINUTE_US
  redis.call('ZADD', PREFIX .. 'q:' .. task.line, score, task.id)
  first_ready[task.line] = math.min(first_ready[task.line] or score, score)
  if task.queue_timeout then
    redis.call('ZADD', PREFIX .. 'queue_timeouts', task.due + task.queue_timeout, task.id)
  end
end

-- Takes a QUEUED task out of its line.
local function take_ready(task)
  redis.call('ZREM', PREFIX .. 'q:' .. task.line, task.id)
  if task.queue_timeout then
    redis.call('ZREM', PREFIX .. 'queue_timeouts', task.id)
  end
end

-- Brings `ready` in step with what is first in the line now; returns that score, or nil.
local function refresh(line)
  local first = redis.call('ZRANGE', PREFIX .. 'q:' .. line, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', PREFIX .. 'ready', first[2], line)
    return tonumber(first[2])
  end
  redis.call('ZREM', PREFIX .. 'ready', line)
end

-- Keeps an event that t:<id> will not tell of later, and its output if it has one.
local function record(task, event, output)
  event.prev, event.rev = task.recorded, revision
  local stream = PREFIX .. 'h:' .. task.id
  local fields = { 'e', cmsgpack.pack(event) }
  if output then
    fields[3], fields[4] = 'o', output
    if redis.call('HINCRBY', PREFIX .. 't:' .. task.id, 'hb', #output) > HISTORY_BYTES then
      redis.call('XTRIM', stream, 'MAXLEN', math.floor(redis.call('XLEN', stream) / 2))
      redis.call('HSET', PREFIX .. 't:' .. task.id, 'hb', HISTORY_BYTES / 2)
    end
  end
  redis.call('XADD', stream, 'MAXLEN', '~', HISTORY_LENGTH,
    string.format('%.0f-0', event.seq), unpack(fields))
  redis.call('HSET', PREFIX .. 't:' .. task.id, 'hs', event.seq)
  task.recorded = event.seq
end

-- The same for the start of the present attempt, before anything that comes after it.
local function record_start(task)
  if task.start_sequence > task.recorded then
    record(task, {
      id = task.id, seq = task.start_sequence, at = task.start, kind = 'state',
      state = 'RUNNING', attempts = task.attempts, worker = task.worker,
    })
  end
end

-- Writes down an attempt that will be followed by another one.
local function remember_attempt(task, error_blob, end_us)
  redis.call('RPUSH', PREFIX .. 'a:' .. task.id, cmsgpack.pack({
    number = task.attempts, worker = task.worker, start = task.start, ['end'] = end_us or now,
    error = error_blob }))
  redis.call('LTRIM', PREFIX .. 'a:' .. task.id, -ATTEMPTS_KEPT, -1)
end

-- Stores the failure of an attempt; returns its blob.
local function write_error(task, error, traceback)
  error.at, error.retries = now, math.max(task.attempts - 1, 0)
  local blob = to_blob(cmsgpack.pack(error), traceback)
  redis.call('SET', PREFIX .. 'e:' .. task.id, blob)
  return blob
end

-- The last move of a task: it keeps its result for `result_ttl` (if it has one) and its
-- record for args.record_ttl, never shorter than the result.
local function finish(task, state, event, result_ttl, ...)
  local record_expire = now + math.max(args.record_ttl, result_ttl or 0)
  local result_expire = result_ttl and now + result_ttl
  event.kind, event.state, event.attempts = 'ended', state, task.attempts
  event.result_expire = result_expire
  move(task, state, event, 'ea', now, 'xp', record_expire, ...)
  if result_expire then
    redis.call('HSET', PREFIX .. 't:' .. task.id, 're', result_expire)
  end
  redis.call('ZADD', PREFIX .. 'retention', result_expire or record_expire, task.id)
end

local function finish_with_error(task, state, error, traceback)
  local blob = write_error(task, error, traceback)
  task.error_type = error.type
  local event = { error = #blob <= INLINE_BYTES and blob or nil }
  finish(task, state, event, nil, 'et', error.type)
end

-- Ends a task that was asked to stop while it ran; cancel.lua left the error to end with.
local function finish_cancelled(task)
  local first = read_first(PREFIX .. 'e:' .. task.id)
  finish_with_error(task, 'CANCELLED', first and cmsgpack.unpack(first) or { type = 'cancelled', message = '' })
end

-- Lets a task wait for another attempt until `due`; `task` must have been RUNNING.
local function retry_at(task, due, error, traceback, ...)
  local blob = write_error(task, error, traceback)
  task.error_type = error.type
  local event = {
    kind = 'state', state = 'RETRYING', attempts = task.attempts, due = due,
    error = #blob <= INLINE_BYTES and blob or nil,
  }
  record_start(task)
  move(task, 'RETRYING', event, 'du', due, 'et', error.type, ...)
  record(task, event)
  remember_attempt(task, blob)
  redis.call('ZADD', PREFIX .. 'due', due, task.id)
end

-- Removes an ended task and everything about it.
local function remove(task)
  local id = task.id
  redis.call('ZREM', index(task.state, task.line), id)
  redis.call('ZREM', PREFIX .. 'retention', id)
  if task.state == 'FAILED' then
    forget_failed(task)
  end
  if redis.call('HGET', PREFIX .. 't:' .. id, 'lb') then
    local spec = cmsgpack.unpack(read_first(PREFIX .. 's:' .. id) or '\128')
    for name, value in pairs(spec.l or {}) do
      redis.call('ZREM', label_index(name .. '=' .. value), id)
    end
  end
  redis.call('DEL', PREFIX .. 't:' .. id, PREFIX .. 's:' .. id, PREFIX .. 'r:' .. id,
    PREFIX .. 'e:' .. id, PREFIX .. 'g:' .. id, PREFIX .. 'a:' .. id, PREFIX .. 'h:' .. id)
end

-- Ends every script that changes tasks: wakes workers, gives the log and the watchers the
-- events of this call, and writes down what is counted.
local function publish()
  local woken = {}
  for line, score in pairs(first_ready) do
    redis.call('ZADD', PREFIX .. 'ready', 'LT', score, line)
    woken[#woken + 1] = line
  end
  if #woken > 0 then
    redis.call('PUBLISH', PREFIX .. 'wake', cmsgpack.pack(woken))
  end
  if revision then
    local message = cmsgpack.pack({ rev = revision, events = events })
    redis.call('XADD', PREFIX .. 'log', 'MAXLEN', '~', LOG_LENGTH,
      string.format('%.0f-0', revision), 'e', message)
    redis.call('PUBLISH', PREFIX .. 'events', message)
  end
  write_stats()
end
