-- Takes tasks back from workers that let their lease run out. A task that has lost too many
-- workers fails: it may well be what kills them.
-- args: count, max_lost, retry_delay (us), error, record_ttl (us)
-- Returns { { id, worker, state } } of those that were taken back.

local ids = redis.call('ZRANGEBYSCORE', PREFIX .. 'leases', '-inf', now, 'LIMIT', 0, args.count)
local reclaimed = {}
for _, id in ipairs(ids) do
  local task = load(id)
  redis.call('ZREM', PREFIX .. 'leases', id)
  if task and task.state == 'RUNNING' then
    -- Without its nonce the claim is void, whatever the old worker still sends.
    redis.call('HSET', PREFIX .. 't:' .. id, 'no', '')
    lose(task, args.error, args.retry_delay)
    reclaimed[#reclaimed + 1] = { id = id, worker = task.worker, state = task.state }
  end
end
publish()
return cmsgpack.pack(reclaimed)
