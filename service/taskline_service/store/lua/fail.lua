-- Records that attempts failed. A task that may be tried again waits for that; a task that
-- was asked to stop is CANCELLED, however its attempt ended.
-- The loss of a child process counts as that of a worker.
-- args: outcomes = { { id, attempt, nonce, error, traceback, retry_delay (us, nil: never),
--       unstoppable } }, max_lost, record_ttl (us)
-- Returns per outcome 'ok', 'given up' (it was lost too often), 'repeated' (it was recorded before),
-- 'lost' or 'damaged <key>'.

local function record_failure(task, outcome)
  redis.call('HSET', PREFIX .. 't:' .. task.id, 'fl', task.failed + 1)
  if outcome.unstoppable then
    redis.call('HSET', PREFIX .. 't:' .. task.id, 'al', 1)
  end
  if task.cancel then
    finish_cancelled(task)
  elseif outcome.retry_delay then
    retry_at(task, now + outcome.retry_delay, outcome.error, outcome.traceback)
  else
    finish_with_error(task, 'FAILED', outcome.error, outcome.traceback)
  end
end

need_log()
need('leases', 'due', 'retention', 'failed_by')
local verdicts = {}
for i, outcome in ipairs(args.outcomes) do
  local task, why = held(outcome)
  local broken = task and (broken_line(task, 'RETRYING', 'FAILED', 'CANCELLED') or broken_story(task))
  if broken then
    why = because_of(broken)
  elseif task then
    redis.call('ZREM', PREFIX .. 'leases', task.id)
    if outcome.error.type == 'worker_lost' then
      lose(task, outcome.error, outcome.retry_delay, 1)
      why = task.state == 'FAILED' and 'given up' or nil
    else
      record_failure(task, outcome)
    end
  end
  verdicts[i] = why or 'ok'
end
publish()
return cmsgpack.pack(verdicts)
