-- Puts tasks whose time has come on their queue: SCHEDULED and RETRYING ones.
-- args: count
-- Returns { promoted, wait (us until the next is due, nil if nothing else waits), dangling = { ids },
--           damaged = { keys } }.

need_log()
need('due', 'ready', 'queue_timeouts', 'failed_by')
local dangling = {}
local done, wait = each_due('due', args.count, function(id)
  local task = load(id)
  local broken = task and (broken_line(task, 'QUEUED') or broken_story(task))
  if broken then
    because_of(broken)
    return false
  end
  redis.call('ZREM', PREFIX .. 'due', id)
  if task and (task.state == 'SCHEDULED' or task.state == 'RETRYING') then
    local event = { kind = 'state', state = 'QUEUED', attempts = task.attempts, due = task.due }
    move(task, 'QUEUED', event)
    record(task, event)
    put_ready(task)
  else
    dangling[#dangling + 1] = id
  end
end)
publish()
return cmsgpack.pack({ promoted = done - #dangling, dangling = dangling, damaged = damaged, wait = wait })
