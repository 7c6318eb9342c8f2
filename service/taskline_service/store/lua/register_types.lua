-- Makes task types known to every server, as their code published them.
-- args: types = { [name] = definition }

need('types', 'types_seen')
for name, definition in pairs(args.types) do
  redis.call('HSET', PREFIX .. 'types', name, definition)
  redis.call('ZADD', PREFIX .. 'types_seen', now, name)
end
return cmsgpack.pack(true)
