-- Puts tasks whose time has come on their queue: SCHEDULED and RETRYING ones.
-- args: count
-- Returns { promoted, wait (us until the next is due, nil if nothing else waits), dangling = { ids } }.

local ids = redis.call('ZRANGEBYSCORE', PREFIX .. 'due', '-inf', now, 'LIMIT', 0, args.count)
local dangling = {}
for _, id in ipairs(ids) do
  local task = load(id)
  redis.call('ZREM', PREFIX .. 'due', id)
  if task and (task.state == 'SCHEDULED' or task.state == 'RETRYING') then
    local event = { kind = 'state', state = 'QUEUED', attempts = task.attempts, due = task.due }
    move(task, 'QUEUED', event)
    record(task, event)
    put_ready(task)
  else
    dangling[#dangling + 1] = id
  end
end
publish()
return cmsgpack.pack({ promoted = #ids - #dangling, dangling = dangling, wait = wait_for('due') })
