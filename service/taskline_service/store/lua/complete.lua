-- Records results; the tasks have ended.
-- args: outcomes = { { id, attempt, nonce, result, result_ttl (us) } }, record_ttl (us)
-- Returns per outcome 'ok', 'repeated' (it was recorded before) or 'lost'.

local verdicts = {}
for i, outcome in ipairs(args.outcomes) do
  local task, why = held(outcome)
  if task then
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
