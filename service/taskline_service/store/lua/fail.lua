-- Records that attempts failed. A task that may be tried again waits for that; a task that
-- was asked to stop is CANCELLED, however its attempt ended.
-- args: outcomes = { { id, attempt, nonce, error, traceback, retry_delay (us, nil: never) } },
--       record_ttl (us)
-- Returns per outcome 'ok', 'repeated' (it was recorded before) or 'lost'.

local verdicts = {}
for i, outcome in ipairs(args.outcomes) do
  local task, why = held(outcome)
  if task then
    redis.call('ZREM', PREFIX .. 'leases', task.id)
    redis.call('HINCRBY', PREFIX .. 't:' .. task.id, 'fl', 1)
    if task.cancel then
      finish_cancelled(task)
    elseif outcome.retry_delay then
      retry_at(task, now + outcome.retry_delay, outcome.error, outcome.traceback)
    else
      finish_with_error(task, 'FAILED', outcome.error, outcome.traceback)
    end
  end
  verdicts[i] = why or 'ok'
end
publish()
return cmsgpack.pack(verdicts)
