-- Stops a queue from handing out tasks, also one that has none yet; or lets it go on.
-- args: queue, pause (false: go on), max_paused
-- Returns true, or false if as many queues are paused as may be.

if args.pause and redis.call('SCARD', PREFIX .. 'paused') >= args.max_paused
  and redis.call('SISMEMBER', PREFIX .. 'paused', args.queue) == 0 then
  return cmsgpack.pack(false)
end
redis.call('SREM', PREFIX .. 'paused', args.queue)  -- frees; see the rules on memory
if args.pause then
  redis.call('SADD', PREFIX .. 'paused', args.queue)
else
  for _, line in ipairs(redis.call('SMEMBERS', PREFIX .. 'lines')) do
    local _, queue = split_line(line)
    local score = queue == args.queue and redis.call('ZSCORE', PREFIX .. 'ready', line)
    if score then
      first_ready[line] = tonumber(score)  -- wakes workers
    end
  end
end
publish()
return cmsgpack.pack(true)
