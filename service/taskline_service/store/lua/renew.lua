-- Prolongs leases.
-- args: claims = { { id, attempt, nonce } }, lease (us)
-- Returns per claim 'held', 'cancel' (held, but the task is to stop) or 'lost'.

local verdicts = {}
for i, claim in ipairs(args.claims) do
  local task = held(claim)
  if task then
    redis.call('ZREM', PREFIX .. 'leases', task.id)
    redis.call('ZADD', PREFIX .. 'leases', now + args.lease, task.id)
    verdicts[i] = task.cancel and 'cancel' or 'held'
  else
    verdicts[i] = 'lost'
  end
end
return cmsgpack.pack(verdicts)
