-- Drops results, and later records, whose time is over; and task types that nobody has been
-- able to run for as long as records are kept.
-- args: count, record_ttl (us)
-- Returns { dropped, wait (us until the next is due, nil if nothing else is kept) }.

local ids = redis.call('ZRANGEBYSCORE', PREFIX .. 'retention', '-inf', now, 'LIMIT', 0, args.count)
for _, id in ipairs(ids) do
  local expire = tonumber(redis.call('HGET', PREFIX .. 't:' .. id, 'xp') or 0)
  if expire > now then
    redis.call('DEL', PREFIX .. 'r:' .. id)
    redis.call('ZADD', PREFIX .. 'retention', expire, id)
  else
    local task = load(id)
    redis.call('ZREM', PREFIX .. 'retention', id)
    if task then
      remove(task)
    end
  end
end
local forgotten = redis.call('ZRANGEBYSCORE', PREFIX .. 'types_seen', '-inf', now - args.record_ttl,
  'LIMIT', 0, args.count)
for _, name in ipairs(forgotten) do
  redis.call('ZREM', PREFIX .. 'types_seen', name)
  redis.call('HDEL', PREFIX .. 'types', name)
end
return cmsgpack.pack({ dropped = #ids, wait = wait_for('retention') })
