-- Prolongs leases.
-- args: claims = { { id, attempt, nonce } }, lease (us)
-- Returns per claim 'held', 'cancel' (held, but the task is to stop), 'repeated' (it ended the
-- attempt itself) or 'lost'.

need('leases')
local verdicts = {}
for i, claim in ipairs(args.claims) do
  local task, why = held(claim)
  if task then
    redis.call('ZREM', PREFIX .. 'leases', task.id)
    redis.call('ZADD', PREFIX .. 'leases', us(now + args.lease), task.id)
    verdicts[i] = task.cancel and 'cancel' or 'held'
  else
    verdicts[i] = why
  end
end
return cmsgpack.pack(verdicts)
