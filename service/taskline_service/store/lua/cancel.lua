-- Asks tasks to stop. One that waits is CANCELLED at once; a running one is told through its
-- worker; one that has ended stays as it is.
-- args: ids, error, record_ttl (us)
-- Returns per id the state after, or false if there is no such task.

local states = {}
for i, id in ipairs(args.ids) do
  local task = load(id)
  if task and task.state == 'RUNNING' then
    if not task.cancel then
      redis.call('ZREM', PREFIX .. 'retention', id)  -- frees nothing; see the rules on memory
      redis.call('HSET', PREFIX .. 't:' .. id, 'cr', now, 'up', now)
      write_error(task, args.error)  -- for the moment when it stops
      redis.call('PUBLISH', PREFIX .. 'cancel', id)
    end
  elseif task and next(EDGES[task.state]) then
    redis.call('ZREM', PREFIX .. 'due', id)
    take_ready(task)
    refresh(task.line)
    redis.call('HSET', PREFIX .. 't:' .. id, 'cr', now)
    finish_with_error(task, 'CANCELLED', args.error)
  end
  states[i] = task and task.state or false
end
publish()
return cmsgpack.pack(states)
