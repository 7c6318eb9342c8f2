-- Stores the latest progress of running tasks.
-- args: reports = { { id, attempt, nonce, progress = { current, total, message, details } } }
-- Returns per report 'ok', or why not: 'lost', 'repeated'.

need_log()
local verdicts = {}
for i, report in ipairs(args.reports) do
  local task, why = held(report)
  if task then
    report.progress.at, report.progress.seq = now, task.sequence + 1
    local progress = cmsgpack.pack(report.progress)
    redis.call('DEL', PREFIX .. 'g:' .. task.id)  -- see the rules on memory: it must be able to end
    redis.call('SET', PREFIX .. 'g:' .. task.id, progress)
    emit(task, { kind = 'progress', content = { progress = progress } })
    redis.call('HSET', PREFIX .. 't:' .. task.id, 'sq', task.sequence, 'up', now)
  end
  verdicts[i] = why or 'ok'
end
publish()
return cmsgpack.pack(verdicts)
