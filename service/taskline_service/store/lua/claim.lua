-- Gives waiting tasks to a worker, under a lease: the most urgent of the lines that it can
-- serve, whatever queue they are on, or by_rank those of the first queue before all others.
-- A call whose answer got lost is made again with its nonce, and is given the same again.
-- args: types, queues (nil: all), by_rank, count, most_lines (of which they are), worker, isolates, nonce,
-- lease (us), record_ttl (us)
-- Returns { claims = { { id, line, attempt, failed, lost, alone, create, due,
-- start, spec } }, more, dangling = { ids }, damaged = { keys } };
-- more: others may wait; dangling: ids that waited although their record is gone, damaged or says
-- otherwise.

local PAGE = 500
-- For how long what a worker was given can be given again: longer than its lease, as after an outage of
-- the store nothing is reclaimed for a while.
local GIVEN_MS = 60000

need_log()
need('leases', 'reclaiming', 'queue_timeouts', 'retention', 'failed_by')
local types, paused = set_of(args.types), set_of(ask('SMEMBERS', PREFIX .. 'paused'))
local rank_of = args.queues and {}
for place, queue in ipairs(args.queues or {}) do
  rank_of[queue] = args.by_rank and place or 1
end

local function precedes(a, b)
  if a.rank ~= b.rank then
    return a.rank < b.rank
  end
  return a.score < b.score
end

-- The lines that this worker can serve, the one with the most urgent task first.
local function servable()
  local lines, offset = {}, 0
  repeat
    local page = ask('ZRANGE', PREFIX .. 'ready', offset, offset + PAGE - 1, 'WITHSCORES')
    for i = 1, #page, 2 do
      local task_type, queue = split_line(page[i])
      if types[task_type] and not paused[queue] and (not rank_of or rank_of[queue]) then
        lines[#lines + 1] = { name = page[i], score = tonumber(page[i + 1]), rank = rank_of and rank_of[queue] or 1 }
      end
    end
    offset = offset + PAGE
  until #page < 2 * PAGE or (#lines >= args.count and not args.by_rank)
  if args.by_rank then
    table.sort(lines, precedes)
  end
  return lines
end

local claims, dangling, given = {}, {}, {}

local function give(task, start, spec)
  given[#given + 1] = task.id
  claims[#claims + 1] = {
    id = task.id, line = task.line, attempt = task.attempts, failed = task.failed,
    create = task.create, due = task.due, start = start, spec = spec, lost = task.lost,
    alone = task.alone,
  }
end

-- Unless the task was taken away meanwhile.
local function give_again(id)
  local task = load(id)
  local spec = redis.pcall('GET', PREFIX .. 's:' .. id)
  if task and task.state == 'RUNNING' and task.nonce == args.nonce and type(spec) == 'string' then
    give(task, task.start, spec)
  end
end

local function claim(id)
  local task = load(id)
  local queued = task and task.state == 'QUEUED'
  local spec = queued and redis.pcall('GET', PREFIX .. 's:' .. id)
  if type(spec) ~= 'string' then
    dangling[#dangling + 1] = id
    if queued then
      finish_with_error(task, 'FAILED', { type = 'storage', message = 'what was enqueued is lost' })
    end
    return
  end
  if task.queue_timeout then
    redis.call('ZREM', PREFIX .. 'queue_timeouts', id)
  end
  task.attempts = task.attempts + 1
  local event = { kind = 'state', state = 'RUNNING', attempts = task.attempts, worker = args.worker }
  move(task, 'RUNNING', event, nil,
    'at', task.attempts, 'no', args.nonce, 'wo', args.worker, 'sa', us(now), 'ss', task.sequence + 1)
  if task.attempts > 1 then
    redis.call('DEL', PREFIX .. 'e:' .. id, PREFIX .. 'g:' .. id)
    redis.call('HDEL', PREFIX .. 't:' .. id, 'et', 'ow')
    if args.isolates and (task.lost > 0 or task.alone) then
      redis.call('HSET', PREFIX .. 't:' .. id, 'ow', 1)
    end
  end
  give(task, now, spec)
end

-- The leases of all that is given begin now.
local function lease()
  local entries = {}
  for _, id in ipairs(given) do
    entries[#entries + 1], entries[#entries + 2] = us(now + args.lease), id
  end
  redis.call('ZADD', PREFIX .. 'leases', unpack(entries))
end

local given_key = PREFIX .. 'c:' .. args.worker
local before = redis.pcall('GET', given_key)
before = type(before) == 'string' and unpacked(before)
if before and before.nonce == args.nonce then
  for _, id in ipairs(before.ids) do
    give_again(id)
  end
  if given[1] then
    lease()
  end
  return cmsgpack.pack({ claims = claims, more = true, dangling = dangling, damaged = damaged })
end

local lines, served, lines_served = servable(), {}, 0
while lines[1] and #claims < args.count and (lines_served < args.most_lines or served[lines[1].name]) do
  -- The first line goes on until it reaches what is first in the next one.
  local line, rival = table.remove(lines, 1), lines[1]
  local broken = broken_line({ state = 'QUEUED', line = line.name }, 'RUNNING', 'FAILED')
  local ids = broken and {} or redis.call('ZRANGEBYSCORE', PREFIX .. 'q:' .. line.name, '-inf',
    rival and rival.rank == line.rank and math.max(rival.score, line.score) or '+inf',
    'LIMIT', 0, args.count - #claims)
  if ids[1] then
    redis.call('ZREM', PREFIX .. 'q:' .. line.name, unpack(ids))
    for _, id in ipairs(ids) do
      claim(id)
    end
    if not served[line.name] then
      served[line.name], lines_served = true, lines_served + 1
    end
  end
  if broken then
    because_of(broken)
  else
    line.score = refresh(line.name)
  end
  if line.score and not broken then
    local place = 1
    while lines[place] and not precedes(line, lines[place]) do
      place = place + 1
    end
    table.insert(lines, place, line)
  end
end
if given[1] then
  lease()
  redis.call('HSETNX', PREFIX .. 'reclaiming', 'at', us(now))
  redis.call('SET', given_key, cmsgpack.pack({ nonce = args.nonce, ids = given }), 'PX', GIVEN_MS)
end
publish()
local more = lines[1] ~= nil or #claims >= args.count
return cmsgpack.pack({ claims = claims, more = more, dangling = dangling, damaged = damaged })
