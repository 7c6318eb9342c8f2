-- Records results; the tasks have ended.
-- args: outcomes = { { id, attempt, nonce, result, result_ttl (us) } }, record_ttl (us)
-- Returns per outcome 'ok', 'repeated' (it was recorded before), 'lost' or 'damaged <key>'.

need_log()
need('leases', 'retention')
local verdicts, ending, leases = {}, {}, {}
for i, outcome in ipairs(args.outcomes) do
  local task, why = held(outcome)
  local broken = task and broken_line(task, 'COMPLETED')
  if broken then
    why = because_of(broken)
  elseif task and ending[task.id] then
    why = 'repeated'
  elseif task then
    ending[task.id], leases[#leases + 1] = { task = task, outcome = outcome }, task.id
  end
  verdicts[i] = why or 'ok'
end

if leases[1] then
  redis.call('ZREM', PREFIX .. 'leases', unpack(leases))
end
for _, id in ipairs(leases) do
  local task, outcome = ending[id].task, ending[id].outcome
  local result = outcome.result
  if task.cancel then
    redis.call('DEL', PREFIX .. 'e:' .. id)  -- it finished first
  end
  local own = {
    result_size = #result, cancel = task.cancel or nil,
    content = { result = #result <= INLINE_BYTES and result or nil },
  }
  if #result <= SHORT_BYTES then
    finish(task, 'COMPLETED', own, outcome.result_ttl, 'rs', #result, 'rv', result)
  else
    redis.call('SET', PREFIX .. 'r:' .. id, result)
    finish(task, 'COMPLETED', own, outcome.result_ttl, 'rs', #result)
  end
end
publish()
return cmsgpack.pack(verdicts)
