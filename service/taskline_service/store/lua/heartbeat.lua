-- Says that a worker lives, and what it does. It stays listed for `ttl` after this.
-- args: worker, about (what ListWorkers tells of it), types, ttl (us), leaving
-- Returns those of the types that nobody has published, or of which that was lost.

need('workers', 'types', 'types_seen')
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
local unknown = {}
for _, name in ipairs(args.types) do
  redis.call('ZADD', PREFIX .. 'types_seen', 'XX', now, name)
  if redis.call('HEXISTS', PREFIX .. 'types', name) == 0 then
    unknown[#unknown + 1] = name
  end
end
return cmsgpack.pack(unknown)
