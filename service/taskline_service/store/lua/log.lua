-- Appends log lines to the story of running tasks.
-- args: lines = { { id, attempt, nonce, number, message, percentage } }; numbers grow within a task
-- Returns per line 'ok', 'repeated' (it was stored before, or its attempt has ended) or 'lost'.

local verdicts = {}
for i, line in ipairs(args.lines) do
  local task, why = held(line)
  if task and line.number <= task.logged then
    why = 'repeated'
  elseif task then
    redis.call('ZREM', PREFIX .. 'retention', task.id)  -- frees nothing; see the rules on memory
    local event = { kind = 'log', message = line.message, percentage = line.percentage }
    emit(task, event)
    record_start(task)
    record(task, event)
    redis.call('HSET', PREFIX .. 't:' .. task.id, 'sq', task.sequence, 'up', now, 'lg', line.number)
  end
  verdicts[i] = why or 'ok'
end
publish()
return cmsgpack.pack(verdicts)
