-- Says that a worker lives, and what it does. It stays listed for `ttl` after this.
-- args: worker, about (what ListWorkers tells of it), types, ttl (us), leaving

local key = PREFIX .. 'w:' .. args.worker
if args.leaving then
  redis.call('ZREM', PREFIX .. 'workers', args.worker)
  redis.call('DEL', key)
else
  redis.call('ZREMRANGEBYSCORE', PREFIX .. 'workers', '-inf', now - args.ttl)
  redis.call('SET', key, args.about, 'PX', math.ceil(args.ttl / 1000))
  redis.call('ZADD', PREFIX .. 'workers', now, args.worker)
end
-- A type stays known while somebody can run it.
for _, name in ipairs(args.types) do
  redis.call('ZADD', PREFIX .. 'types_seen', 'XX', now, name)
end
return cmsgpack.pack(true)
