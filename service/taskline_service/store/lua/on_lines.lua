-- Tells what is on lines.
-- args: lines
-- Returns per line { queued, scheduled, running, oldest_age (us) }.

local told = {}
for i, line in ipairs(args.lines) do
  local first = ask('ZRANGE', PREFIX .. 'q:' .. line, 0, 0)[1]
  local task = first and load(first)
  told[i] = {
    queued = ask('ZCARD', index('QUEUED', line)),
    scheduled = ask('ZCARD', index('SCHEDULED', line)) + ask('ZCARD', index('RETRYING', line)),
    running = ask('ZCARD', index('RUNNING', line)),
    oldest_age = task and math.max(0, now - task.due) or 0,
  }
end
return cmsgpack.pack(told)
