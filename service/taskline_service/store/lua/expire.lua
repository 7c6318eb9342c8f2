-- Drops results, and later records, whose time is over; and task types that nobody has been
-- able to run for as long as records are kept.
-- args: count, record_ttl (us)
-- Returns { dropped, wait (us until the next is due, nil if nothing else is kept),
--           dangling = { ids } }; dangling: ids that were kept although their record is gone or damaged.

local ids = redis.call('ZRANGEBYSCORE', PREFIX .. 'retention', '-inf', now, 'LIMIT', 0, args.count)
local dangling = {}
for _, id in ipairs(ids) do
  local task = load(id)
  local expire = task and tonumber(redis.call('HGET', PREFIX .. 't:' .. id, 'xp') or 0)
  if not task or not TERMINAL[task.state] then
    redis.call('ZREM', PREFIX .. 'retention', id)
    dangling[#dangling + 1] = id
  elseif expire and expire > now then
    redis.call('DEL', PREFIX .. 'r:' .. id)
    redis.call('ZADD', PREFIX .. 'retention', expire, id)
  else
    remove(task)
  end
end
-- Longer than from one heartbeat of a worker to the next, however short records are kept.
local TYPES_KEPT = 60000000
local forgotten = redis.call('ZRANGEBYSCORE', PREFIX .. 'types_seen', '-inf', now - math.max(args.record_ttl, TYPES_KEPT),
  'LIMIT', 0, args.count)
for _, name in ipairs(forgotten) do
  redis.call('ZREM', PREFIX .. 'types_seen', name)
  redis.call('HDEL', PREFIX .. 'types', name)
end
return cmsgpack.pack({ dropped = #ids - #dangling, dangling = dangling, wait = wait_for('retention') })
