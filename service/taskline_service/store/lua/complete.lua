-- Records results; the tasks have ended.
-- args: outcomes = { { id, attempt, nonce, result, result_ttl (us) } }, record_ttl (us)
-- Returns per outcome 'ok', 'repeated' (it was recorded before), 'lost' or 'damaged <key>'.

need_log()
need('leases', 'retention', 'failed_by')
local verdicts = {}
for i, outcome in ipairs(args.outcomes) do
  local task, why = held(outcome)
  local broken = task and broken_line(task, 'COMPLETED')
  if broken then
    why = because_of(broken)
  elseif task then
    local result = outcome.result
    redis.call('ZREM', PREFIX .. 'leases', task.id)
    redis.call('SET', PREFIX .. 'r:' .. task.id, result)
    if task.cancel then
      redis.call('DEL', PREFIX .. 'e:' .. task.id)  -- it finished first
    end
    finish(task, 'COMPLETED',
      { result_size = #result, content = { result = #result <= INLINE_BYTES and result or nil } },
      outcome.result_ttl, 'rs', #result)
  end
  verdicts[i] = why or 'ok'
end
publish()
return cmsgpack.pack(verdicts)
