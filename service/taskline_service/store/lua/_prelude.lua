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
--                    al 1 if its code could not be stopped once: it runs alone from then on
--                    ow 1 if its worker gave the present attempt a process of its own
--                    rv the result, if it is so short that it can be here
--   s:<id>   STRING  blob of what was enqueued: the spec in msgpack, and the input
--   r:<id>   STRING  the result, if t:<id> does not have it
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
--   reclaiming HASH  while there are leases: at when they were last looked at, until when nothing is
--                    reclaimed, since when that goes on; in us
--   leases   ZSET    RUNNING ids by the end of their lease
--   retention ZSET   ended ids by when the result, and then the record, goes
--   lines    SET     every line so far; a line is "<task type>:<queue>"
--   paused   SET     queues that hand out nothing
--   types    HASH    task type -> what its code published    types_seen  ZSET  by when, last
--   workers  ZSET    worker ids by last heartbeat            w:<worker>  STRING  about it
--   c:<worker> STRING  in msgpack, the nonce of its last claim that got tasks, and their ids; TTL
--   failed_by HASH   "<error type>:<queue>" -> FAILED tasks now known
--   stats:<width>:<start>:<queue>  HASH  what happened in so many seconds from then on; without
--                    a queue, on all of them: enqueued, completed, failed, retried, and by bin of
--                    the time they took, q<bin> starts and r<bin> ends of attempts; has a TTL
--   x:<key>  ANY     what <key> was of a task whose record is damaged: a repair has set it apart; TTL
--   partitions STRING  into how many partitions the tasks of the namespace are divided, by a hash of
--                    their ids; in the first partition alone
--   rev      STRING  the revision: counts the calls that changed tasks
--   log      STREAM  by revision and time in us: the events of each such call, without what came
--                    with them, for as long as results are kept
-- Channels: `events` carries a blob of what `log` gets, and of what came with each event; `wake`
-- lines that have tasks; `cancel` claims to stop.
--
-- A blob is two strings in one: the length of the first in 4 bytes, the first, the second.
--
-- Rules: read and check before the first write (_soundness.lua). Where tasks must be able to go on while
-- the store is out of memory, the first write is one that frees (ZREM): Redis then lets the
-- rest pass. Numbers go to redis.call as numbers, never through `..`, which rounds them.

local PREFIX = KEYS[1]
local args = cmsgpack.unpack(ARGV[1])
local SHORT_BYTES = 64  -- the longest value that lets a hash stay a listpack, as stores are set up
local INLINE_BYTES = 4096  -- a longer content is not sent with its event, but read when asked for

local seconds_and_us = redis.call('TIME')
local now = seconds_and_us[1] * 1000000 + seconds_and_us[2]

local texts = {}

-- An instant as an argument of a command. Most are `now`, or as far from it as others: the text is
-- made once per call, and not for each command that takes one.
local function us(instant)
  local text = texts[instant]
  if not text then
    text = string.format('%.0f', instant)
    texts[instant] = text
  end
  return text
end

local find = string.find

local numbers = {}

-- The number that a text says in digits; false if it does not. Tasks of one call have many of them
-- in common: instants, and small ones.
local function number_of(text)
  local number = find(text, '^%d+$') and tonumber(text) or false
  numbers[text] = number
  return number
end

-- What moves call the fields that they need.
local NAMES = {
  st = 'state', ln = 'line', ct = 'create', du = 'due', pr = 'priority', qd = 'queue_timeout',
  at = 'attempts', fl = 'failed', lo = 'lost', no = 'nonce', wo = 'worker', sa = 'start',
  sq = 'sequence', ss = 'start_sequence', cr = 'cancel', hs = 'recorded', lg = 'appended',
  al = 'alone', ow = 'own_process',
}

-- A task from the fields of its record, numbers as such; nil if one of them is none that we write.
local function read_fields(id, pairs_of)
  local task = {
    id = id, state = false, line = false, create = false, due = false, priority = 0,
    queue_timeout = false, attempts = false, failed = 0, lost = 0, nonce = false, worker = false,
    start = false, sequence = false, start_sequence = false, cancel = false, recorded = 0,
    appended = 0, alone = false, own_process = false,
  }
  for i = 1, #pairs_of, 2 do
    local name, value = pairs_of[i], pairs_of[i + 1]
    local limit = NUMBERS[name]
    if limit then
      value = numbers[value] or number_of(value)
      if not value or value >= limit then
        return nil
      end
    end
    name = NAMES[name]
    if name then
      task[name] = value
    end
  end
  return task
end

-- Whether the fields are there that a move needs.
local function is_whole(task)
  if not (EDGES[task.state] and task.line and find(task.line, '^[%w._-]+:[%w._:-]+$')
    and task.create and task.due and task.sequence) then
    return false
  elseif task.state == 'RUNNING' or task.attempts and task.attempts > 0 then
    return task.attempts and task.nonce and task.worker and task.start and task.start_sequence
  end
  return true
end

-- What a move needs to know of a task; else nil, and false if there is no such task or
-- 'damaged' if what is there is not one of ours, or was and is set apart: no move is then made,
-- and nothing overwritten.
local function load(id)
  local pairs_of = redis.pcall('HGETALL', PREFIX .. 't:' .. id)
  if not pairs_of.err and not pairs_of[1] and redis.call('EXISTS', PREFIX .. 'x:t:' .. id) == 0 then
    return nil, false
  end
  local task = not pairs_of.err and read_fields(id, pairs_of)
  if not task or not is_whole(task) then
    return nil, 'damaged'
  end
  task.attempts, task.start, task.start_sequence = task.attempts or 0, task.start or 0, task.start_sequence or 0
  task.alone, task.own_process = task.alone ~= false, task.own_process ~= false
  return task
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

-- The table that msgpack has, or nil if it is no msgpack, or has something else.
local function unpacked(bytes)
  local fine, value = pcall(cmsgpack.unpack, bytes or '')
  return fine and type(value) == 'table' and value or nil
end

local function to_blob(first, second)
  return struct.pack('>I4', #first) .. first .. (second or '')
end

-- The first string of a blob, without reading the rest of a long one.
local function read_first(key)
  local start = redis.pcall('GETRANGE', key, 0, 511)
  if type(start) ~= 'string' or #start < 4 then
    return nil
  end
  local length = struct.unpack('>I4', start)
  if length + 4 > #start then
    return redis.call('GETRANGE', key, 4, length + 3)
  end
  return string.sub(start, 5, length + 4)
end

-- What was enqueued, without its input; nil if that cannot be understood.
local function read_spec(id)
  local spec = unpacked(read_first(PREFIX .. 's:' .. id))
  return type(spec) == 'table' and spec.p and spec or nil
end

local function set_of(list)
  local set = {}
  for _, member in ipairs(list) do
    set[member] = true
  end
  return set
end

-- A line is "<task type>:<queue>"; a type has no colon, a queue may. What is none is a type that
-- nobody knows.
local function split_line(line)
  local colon = string.find(line, ':', 1, true) or #line + 1
  return string.sub(line, 1, colon - 1), string.sub(line, colon + 1)
end

local function queue_of(line)
  return string.sub(line, (string.find(line, ':', 1, true) or #line) + 1)
end

local LONGEST_WAIT = 86400000000

-- How long until the first entry of a line of times is due, in us; nil if it is empty.
local function wait_for(name)
  local first = redis.call('ZRANGE', PREFIX .. name, 0, 0, 'WITHSCORES')
  -- A stranger's entry may be due at any time, or never.
  return first[1] and math.min(math.max(0, tonumber(first[2]) - now), LONGEST_WAIT) or nil
end

local runs, contents, revision = {}, {}, nil
local fields_in_run = 0

-- Whether an event says what those of this run have in common, and nothing else.
local function continues(run, event)
  local left = fields_in_run
  for name, value in pairs(event) do
    if run[1][name] ~= value then
      return false
    end
    left = left - 1
  end
  return left == 0
end

local function begin_run(event)
  fields_in_run = 0
  for _ in pairs(event) do
    fields_in_run = fields_in_run + 1
  end
  runs[#runs + 1] = { event }
end

-- Tells watchers; its line is for those who watch by filter. Raises the task's sequence, which the
-- caller's HSET stores. What tasks that follow each other have in common in `event` is told once;
-- `own` is what else there is to tell of this task. What was given or returned by somebody is the
-- `content` of one of them: of that the log keeps nothing, so that it goes with its task;
-- contents.lua reads it again.
local function emit(task, event, own)
  revision = revision or redis.call('INCR', PREFIX .. 'rev')
  task.sequence = task.sequence + 1
  own = own or {}
  contents[#contents + 1] = own.content or event.content or false
  own.content, own.id, own.seq = nil, task.id, task.sequence
  event.line, event.at = task.line, now
  if not runs[1] or not continues(runs[#runs], event) then
    begin_run(event)
  end
  local run = runs[#runs]
  run[#run + 1] = own
end

local indexes = {}

-- Its key is made once per call for each state of a line.
local function index(state, line)
  local here = indexes[line]
  if not here then
    here = {}
    indexes[line] = here
  end
  if not here[state] then
    here[state] = PREFIX .. 'i:' .. state .. ':' .. line
  end
  return here[state]
end

local function label_index(label)
  return PREFIX .. 'label:' .. label
end
