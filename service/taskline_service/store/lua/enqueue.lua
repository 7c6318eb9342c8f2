-- Accepts tasks, in order.
-- args: tasks = { { id, line, spec, priority, queue_timeout (us), due (us) or delay (us),
--       labels (each "<key>=<value>"; nil: none),
--       uid, request_id, digest, on_conflict = 'reject' | 'use_existing' | 'replace_terminal' } },
--       partial: accept those that can be, instead of none if one cannot,
--       check_only: change nothing, max_queued: waiting tasks that a queue may have (nil: any),
--       max_lines: lines that may have tasks, ahead = { added, lines }: what the steps checked
--       before this one will add: { [queue] = number }, and new lines
-- Returns { rev, outcomes = { { status, create, due, uid, state, limit, key } }, added = { [queue] = number },
-- new_lines, damaged = { keys } }; status is 'created', 'repeated' (this very request made it before), 'existing',
-- 'replaced', 'taken', 'reused', 'full', 'crowded' (too many lines) or 'damaged'; added: what comes
-- to queues, counted only if they are limited.

need_log()
need('ready')
local NEW = { created = true, replaced = true }
local REFUSED = { taken = true, reused = true, full = true, crowded = true, damaged = true }

local waiting, added = nil, {}
local ahead = args.ahead or { added = {}, lines = {} }

-- How many tasks wait for a worker on each queue of these tasks, on all of its lines.
local function count_waiting()
  local counts = {}
  for _, entry in ipairs(args.tasks) do
    local queue = queue_of(entry.line)
    counts[queue] = ahead.added[queue] or 0
  end
  for _, line in ipairs(redis.call('ZRANGE', PREFIX .. 'ready', 0, -1)) do
    local queue = queue_of(line)
    if counts[queue] then
      counts[queue] = counts[queue] + redis.call('ZCARD', PREFIX .. 'q:' .. line)
    end
  end
  return counts
end

-- Whether the queue of a new task is full; if it is not, the task takes a place.
local function is_full(entry)
  local queue = queue_of(entry.line)
  waiting = waiting or count_waiting()
  if waiting[queue] + (added[queue] or 0) >= args.max_queued then
    return true
  end
  if (entry.delay or 0) <= 0 and (entry.due or 0) <= now then
    added[queue] = (added[queue] or 0) + 1
  end
end

local known, is_new, new_lines = {}, set_of(ahead.lines), {}

-- Whether the line of a new task would be one too many; if it is not, it counts from now on.
local function is_one_too_many(line)
  known[line] = known[line] or ask('SISMEMBER', PREFIX .. 'lines', line) == 1 or is_new[line]
  if known[line] then
    return false
  end
  if redis.call('SCARD', PREFIX .. 'lines') + #ahead.lines + #new_lines >= args.max_lines then
    return true
  end
  is_new[line], new_lines[#new_lines + 1] = true, line
end

local function check(entry)
  -- Most ids are new: this is a tenth of the work of loading.
  local story = 'h:' .. entry.id
  if redis.call('EXISTS', PREFIX .. 't:' .. entry.id, PREFIX .. 'x:t:' .. entry.id, PREFIX .. story) == 0 then
    found[story] = 'none'
    return { status = 'created' }
  end
  local task, absent = load(entry.id)
  if absent == false then
    return { status = 'created' }
  end
  local spec = task and read_spec(entry.id)
  if not spec then
    return { status = 'damaged' }
  end
  local outcome = { uid = spec.u or entry.id, state = task.state }
  local request_id = spec.r or (spec.d and entry.id)
  if outcome.uid == entry.uid then
    outcome.status = 'repeated'  -- this very call: its answer got lost
  elseif entry.request_id and request_id == entry.request_id then
    outcome.status = spec.d == entry.digest and 'repeated' or 'reused'
  elseif entry.on_conflict == 'use_existing' then
    outcome.status = 'existing'
  elseif entry.on_conflict == 'replace_terminal' then
    outcome.status = TERMINAL[task.state] and 'replaced' or 'existing'
    entry.before = TERMINAL[task.state] and task
  else
    outcome.status = 'taken'
  end
  return outcome
end

-- For keys that only some tasks are written to.
local function need_for(entry)
  if entry.due or entry.delay then
    need('due')
  end
  if entry.queue_timeout then
    need('queue_timeouts')
  end
  if entry.before then
    need('retention', 'failed_by')
  end
end

-- The first broken key that this task would be written to, or the one before it is taken out of.
local function broken_for(entry)
  need_for(entry)
  local new = { id = entry.id, line = entry.line, state = 'QUEUED', sequence = 0 }
  local broken = broken_line(new, 'SCHEDULED') or is_broken('h:' .. entry.id, 'stream') and 'h:' .. entry.id
  for _, label in ipairs(entry.labels or {}) do
    broken = broken or is_broken('label:' .. label, 'zset') and 'label:' .. label
  end
  return broken or entry.before and (broken_line(entry.before) or broken_label(entry.before))
end

local outcomes, refused = {}, false
for i, entry in ipairs(args.tasks) do
  outcomes[i] = check(entry)
  local broken = NEW[outcomes[i].status] and broken_for(entry)
  if broken then
    because_of(broken)
    outcomes[i] = { status = 'damaged', key = PREFIX .. broken }
  end
  if NEW[outcomes[i].status] and is_one_too_many(entry.line) then
    outcomes[i] = { status = 'crowded', limit = args.max_lines }
  elseif NEW[outcomes[i].status] and args.max_queued and is_full(entry) then
    outcomes[i] = { status = 'full', limit = args.max_queued }
  end
  refused = refused or REFUSED[outcomes[i].status]
end

local function create(entry, create_us)
  local due, create_text = entry.due or create_us + (entry.delay or 0), us(create_us)
  local state = due > create_us and 'SCHEDULED' or 'QUEUED'
  local task = {
    id = entry.id, line = entry.line, priority = entry.priority or 0,
    due = math.max(due, create_us), queue_timeout = entry.queue_timeout, sequence = 0,
    recorded = 0,
  }
  redis.call('SET', PREFIX .. 's:' .. task.id, entry.spec)
  local event = { kind = 'state', state = state, begins = true, attempts = 0 }
  emit(task, event, { due = task.due })
  local fields = { 'st', state, 'ln', task.line, 'ct', create_text, 'du', us(task.due), 'sq', 1, 'up', us(now) }
  if task.priority ~= 0 then
    fields[#fields + 1], fields[#fields + 2] = 'pr', task.priority
  end
  if task.queue_timeout then
    fields[#fields + 1], fields[#fields + 2] = 'qd', task.queue_timeout
  end
  if entry.labels then
    fields[#fields + 1], fields[#fields + 2] = 'lb', 1
    for _, label in ipairs(entry.labels) do
      redis.call('ZADD', label_index(label), create_text, task.id)
    end
  end
  redis.call('HSET', PREFIX .. 't:' .. task.id, unpack(fields))
  put(index(state, task.line), create_text, task.id)
  count(task.line, 'enqueued')
  if state == 'SCHEDULED' then
    redis.call('ZADD', PREFIX .. 'due', task.due, task.id)
    record(task, { kind = 'state', state = state, begins = true, attempts = 0, due = task.due })
  else
    put_ready(task)
  end
  return create_us, task.due
end

if not args.check_only and (args.partial or not refused) then
  local lines = {}
  for i, entry in ipairs(args.tasks) do
    local outcome = outcomes[i]
    if NEW[outcome.status] then
      if outcome.status == 'replaced' then
        remove(entry.before)
      end
      -- One microsecond apart, so that the tasks of one call keep their order.
      outcome.create, outcome.due = create(entry, now + i - 1)
      lines[entry.line] = true
    end
  end
  for line in pairs(lines) do
    redis.call('SADD', PREFIX .. 'lines', line)
  end
  publish()
end
return cmsgpack.pack({ rev = revision, outcomes = outcomes, added = added, new_lines = new_lines,
  damaged = damaged })
