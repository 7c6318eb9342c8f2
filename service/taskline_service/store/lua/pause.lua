-- Stops a queue from handing out tasks, also one that has none yet; or lets it go on.
-- args: queue, pause (false: go on), max_paused
-- Returns true, or false if as many queues are paused as may be.

need('paused', 'ready')
if args.pause and redis.call('SCARD', PREFIX .. 'paused') >= args.max_paused
  and redis.call('SISMEMBER', PREFIX .. 'paused', args.queue) == 0 then
  return cmsgpack.pack(false)
end
redis.call('SREM', PREFIX .. 'paused', args.queue)  -- frees; see the rules on memory
if args.pause then
  redis.call('SADD', PREFIX .. 'paused', args.queue)
else
  local woken = {}
  for _, line in ipairs(redis.call('ZRANGE', PREFIX .. 'ready', 0, -1)) do
    if queue_of(line) == args.queue then
      woken[#woken + 1] = line
    end
  end
  if woken[1] then
    redis.call('PUBLISH', PREFIX .. 'wake', cmsgpack.pack(woken))
  end
end
return cmsgpack.pack(true)
