-- Ends tasks that no worker started in time.
-- args: count, error, record_ttl (us)
-- Returns { failed = { lines }, wait (us until the next is due, nil if nothing else waits),
-- dangling = { ids } }.

local ids = redis.call('ZRANGEBYSCORE', PREFIX .. 'queue_timeouts', '-inf', now, 'LIMIT', 0, args.count)
local failed, dangling = {}, {}
for _, id in ipairs(ids) do
  local task = load(id)
  redis.call('ZREM', PREFIX .. 'queue_timeouts', id)
  if task and task.state == 'QUEUED' then
    take_ready(task)
    refresh(task.line)
    finish_with_error(task, 'FAILED', args.error)
    failed[#failed + 1] = task.line
  else
    dangling[#dangling + 1] = id
  end
end
publish()
return cmsgpack.pack({ failed = failed, dangling = dangling, wait = wait_for('queue_timeouts') })
