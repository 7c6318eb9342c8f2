-- Gives claimed tasks back, to their old place in the queue: their worker shuts down. Those
-- that were asked to stop are CANCELLED.
-- args: claims = { { id, attempt, nonce } }, record_ttl (us)
-- Returns per claim 'ok', 'lost', also if it was released before, or 'damaged <key>'.

need_log()
need('leases', 'ready', 'queue_timeouts', 'retention', 'failed_by')
local verdicts = {}
for i, claim in ipairs(args.claims) do
  local task, why = held(claim)
  local broken = task and (broken_line(task, 'QUEUED', 'CANCELLED') or broken_story(task))
  if broken then
    why = because_of(broken)
  elseif task then
    redis.call('ZREM', PREFIX .. 'leases', task.id)
    if task.cancel then
      finish_cancelled(task)
    else
      local event = { kind = 'state', state = 'QUEUED', attempts = task.attempts, due = task.due }
      record_start(task)
      move(task, 'QUEUED', event, nil, 'no', '')
      record(task, event)
      remember_attempt(task)
      put_ready(task)
      if task.queue_timeout then  -- counts anew: a worker had started it in time
        redis.call('ZADD', PREFIX .. 'queue_timeouts', now + task.queue_timeout, task.id)
      end
    end
  end
  verdicts[i] = why or 'ok'
end
publish()
return cmsgpack.pack(verdicts)
