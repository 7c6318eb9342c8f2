-- Accepts tasks, in order.
-- args: tasks = { { id, line, spec, priority, queue_timeout (us), due (us) or delay (us),
--       labels (each "<key>=<value>"; nil: none),
--       uid, request_id, digest, on_conflict = 'reject' | 'use_existing' | 'replace_terminal' } },
--       partial: accept those that can be, instead of none if one cannot,
--       check_only: change nothing
-- Returns { rev, outcomes = { { status, create, due, uid, state } } }; status is 'created',
-- 'repeated' (this very request made it before), 'existing', 'replaced', 'taken' or 'reused'.

local NEW = { created = true, replaced = true }
local REFUSED = { taken = true, reused = true }

local function check(entry)
  local task = load(entry.id)
  if not task then
    return { status = 'created' }
  end
  local spec = cmsgpack.unpack(read_first(PREFIX .. 's:' .. entry.id))
  local outcome = { uid = spec.u or entry.id, state = task.state }
  local request_id = spec.r or (spec.d and entry.id)
  if outcome.uid == entry.uid then
    outcome.status = 'repeated'  -- this very call: its answer got lost
  elseif entry.request_id and request_id == entry.request_id then
    outcome.status = spec.d == entry.digest and 'repeated' or 'reused'
  elseif entry.on_conflict == 'use_existing' then
    outcome.status = 'existing'
  elseif entry.on_conflict == 'replace_terminal' then
    outcome.status = next(EDGES[task.state]) and 'existing' or 'replaced'
  else
    outcome.status = 'taken'
  end
  return outcome
end

local outcomes, refused = {}, false
for i, entry in ipairs(args.tasks) do
  outcomes[i] = check(entry)
  refused = refused or REFUSED[outcomes[i].status]
end

local function create(entry, create_us)
  local due = entry.due or create_us + (entry.delay or 0)
  local state = due > create_us and 'SCHEDULED' or 'QUEUED'
  local task = {
    id = entry.id, line = entry.line, priority = entry.priority or 0,
    due = math.max(due, create_us), queue_timeout = entry.queue_timeout, sequence = 0,
  }
  redis.call('SET', PREFIX .. 's:' .. task.id, entry.spec)
  emit(task, { kind = 'state', state = state, line = task.line, attempts = 0, due = task.due })
  local fields = { 'st', state, 'ln', task.line, 'ct', create_us, 'du', task.due, 'sq', 1, 'up', now }
  if task.priority ~= 0 then
    fields[#fields + 1], fields[#fields + 2] = 'pr', task.priority
  end
  if task.queue_timeout then
    fields[#fields + 1], fields[#fields + 2] = 'qd', task.queue_timeout
  end
  if entry.labels then
    fields[#fields + 1], fields[#fields + 2] = 'lb', 1
    for _, label in ipairs(entry.labels) do
      redis.call('ZADD', label_index(label), create_us, task.id)
    end
  end
  redis.call('HSET', PREFIX .. 't:' .. task.id, unpack(fields))
  redis.call('ZADD', index(state, task.line), create_us, task.id)
  count(task.line, 'enqueued')
  if state == 'SCHEDULED' then
    redis.call('ZADD', PREFIX .. 'due', task.due, task.id)
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
        remove(load(entry.id))
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
return cmsgpack.pack({ rev = revision, outcomes = outcomes })
