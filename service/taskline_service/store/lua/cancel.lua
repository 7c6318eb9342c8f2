-- Asks tasks to stop. One that waits is CANCELLED at once; a running one is told through its
-- worker; one that has ended stays as it is.
-- args: ids, states (nil: any that has not ended), error, record_ttl (us)
-- Returns per id true if it was cancelled or told to stop, its state if there was nothing to do,
-- false if there is no such task, 'damaged' if its record is, or 'damaged <key>'.

need_log()
need('due', 'ready', 'queue_timeouts', 'retention', 'failed_by')
local states = args.states and set_of(args.states)
local answers = {}
for i, id in ipairs(args.ids) do
  local task, absent = load(id)
  answers[i] = task and task.state or absent
  local waits = task and not TERMINAL[task.state] and task.state ~= 'RUNNING'
  local broken = waits and broken_line(task, 'QUEUED', 'CANCELLED')
  if not task or TERMINAL[task.state] or (states and not states[task.state]) then
    -- stays as it is
  elseif broken then
    answers[i] = because_of(broken)
  elseif task.state == 'RUNNING' then
    if not task.cancel then
      answers[i] = true
      redis.call('DEL', PREFIX .. 'nothing')  -- frees nothing; see the rules on memory
      redis.call('HSET', PREFIX .. 't:' .. id, 'cr', now, 'up', now)
      write_error(task, args.error)  -- for the moment when it stops
      redis.call('PUBLISH', PREFIX .. 'cancel', id)
    end
  else
    answers[i] = true
    redis.call('ZREM', PREFIX .. 'due', id)
    take_ready(task)
    refresh(task.line)
    redis.call('HSET', PREFIX .. 't:' .. id, 'cr', now)
    finish_with_error(task, 'CANCELLED', args.error)
  end
end
publish()
return cmsgpack.pack(answers)
