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

-- The fields of a record, numbers as such; nil if one of them is none that we write.
local function read_fields(pairs_of)
  local v = {}
  for i = 1, #pairs_of, 2 do
    local name, value = pairs_of[i], pairs_of[i + 1]
    local limit = NUMBERS[name]
    if limit then
      value = numbers[value] or number_of(value)
      if not value or value >= limit then
        return nil
      end
    end
    v[name] = value
  end
  return v
end

-- Whether the fields are there that a move needs.
local function is_whole(v)
  if not (EDGES[v.st] and v.ln and find(v.ln, '^[%w._-]+:[%w._:-]+$') and v.ct and v.du and v.sq) then
    return false
  elseif v.st == 'RUNNING' or v.at and v.at > 0 then
    return v.at and v.no and v.wo and v.sa and v.ss
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
  local v = read_fields(pairs_of)
  if not v or not is_whole(v) then
    return nil, 'damaged'
  end
  return {
    id = id, state = v.st, line = v.ln, create = v.ct, due = v.du,
    priority = v.pr or 0, queue_timeout = v.qd or false,
    attempts = v.at or 0, failed = v.fl or 0, lost = v.lo or 0,
    nonce = v.no or false, worker = v.wo or false, start = v.sa or 0,
    sequence = v.sq, start_sequence = v.ss or 0, cancel = v.cr or false,
    recorded = v.hs or 0, appended = v.lg or 0, alone = v.al ~= nil,
    own_process = v.ow ~= nil,
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

local events, revision = {}, nil

-- Tells watchers; `line` is for those who watch by filter. Raises the task's sequence, which
-- the caller's HSET stores. What was given or returned by somebody goes into the event's `content`:
-- of that the log keeps nothing, so that it goes with its task; contents.lua reads it again.
local function emit(task, event)
  revision = revision or redis.call('INCR', PREFIX .. 'rev')
  task.sequence = task.sequence + 1
  event.id, event.line, event.seq, event.at = task.id, task.line, task.sequence, now
  events[#events + 1] = event
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
