-- Lists queues by name, with what is on them.
-- args: after (a name, '' from the start), count; or only: the name of a single one, known or not
-- Returns { { name, paused, queued, scheduled, running, oldest_age (us) } }.

local paused = set_of(redis.call('SMEMBERS', PREFIX .. 'paused'))
local lines_of, names = {}, {}

local function know(queue)
  if not lines_of[queue] then
    lines_of[queue] = {}
    if queue > (args.after or '') then
      names[#names + 1] = queue
    end
  end
  return lines_of[queue]
end

for queue in pairs(paused) do
  know(queue)
end
for _, line in ipairs(redis.call('SMEMBERS', PREFIX .. 'lines')) do
  local _, queue = split_line(line)
  table.insert(know(queue), line)
end
table.sort(names)

local function describe(name)
  local queue = { name = name, paused = paused[name] or false, queued = 0, scheduled = 0, running = 0, oldest_age = 0 }
  for _, line in ipairs(lines_of[name]) do
    queue.queued = queue.queued + redis.call('ZCARD', index('QUEUED', line))
    queue.running = queue.running + redis.call('ZCARD', index('RUNNING', line))
    queue.scheduled = queue.scheduled + redis.call('ZCARD', index('SCHEDULED', line))
      + redis.call('ZCARD', index('RETRYING', line))
    local first = redis.call('ZRANGE', PREFIX .. 'q:' .. line, 0, 0)[1]
    local due = first and redis.call('HGET', PREFIX .. 't:' .. first, 'du')
    if due then
      queue.oldest_age = math.max(queue.oldest_age, now - tonumber(due))
    end
  end
  return queue
end

if args.only then
  know(args.only)
  return cmsgpack.pack({ describe(args.only) })
end
local queues = {}
for i = 1, math.min(#names, args.count) do
  queues[i] = describe(names[i])
end
return cmsgpack.pack(queues)
