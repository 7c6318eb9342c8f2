-- Ends tasks that no worker started in time.
-- args: count, error, record_ttl (us)
-- Returns { failed = { lines }, wait (us until the next is due, nil if nothing else waits),
--           dangling = { ids }, damaged = { keys } }.

need_log()
need('queue_timeouts', 'ready', 'retention', 'failed_by')
local failed, dangling = {}, {}
local _, wait = each_due('queue_timeouts', args.count, function(id)
  local task = load(id)
  local broken = task and broken_line(task, 'QUEUED', 'FAILED')
  if broken then
    because_of(broken)
    return false
  end
  redis.call('ZREM', PREFIX .. 'queue_timeouts', id)
  if task and task.state == 'QUEUED' then
    take_ready(task)
    refresh(task.line)
    finish_with_error(task, 'FAILED', args.error)
    failed[#failed + 1] = task.line
  else
    dangling[#dangling + 1] = id
  end
end)
publish()
return cmsgpack.pack({ failed = failed, dangling = dangling, damaged = damaged, wait = wait })
