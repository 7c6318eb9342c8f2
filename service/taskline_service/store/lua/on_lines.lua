-- Tells what is on lines.
-- args: lines
-- Returns per line { queued, scheduled, running, oldest_age (us) }.

local told = {}
for i, line in ipairs(args.lines) do
  local first = redis.call('ZRANGE', PREFIX .. 'q:' .. line, 0, 0)[1]
  local due = first and redis.call('HGET', PREFIX .. 't:' .. first, 'du')
  told[i] = {
    queued = redis.call('ZCARD', index('QUEUED', line)),
    scheduled = redis.call('ZCARD', index('SCHEDULED', line)) + redis.call('ZCARD', index('RETRYING', line)),
    running = redis.call('ZCARD', index('RUNNING', line)),
    oldest_age = due and math.max(0, now - tonumber(due)) or 0,
  }
end
return cmsgpack.pack(told)
