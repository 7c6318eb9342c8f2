-- Appends log lines and outputs to the story of running tasks.
-- args: entries = { { id, attempt, nonce, number, message, percentage | output } };
--       numbers grow within a task
-- Returns per entry 'ok', 'repeated' (it was stored before, or its attempt has ended), 'lost' or
-- 'damaged <key>'.

local function event_of(entry)
  if not entry.output then
    return { kind = 'log', content = { message = entry.message, percentage = entry.percentage } }
  end
  return {
    kind = 'output', size = #entry.output,
    content = { output = #entry.output <= INLINE_BYTES and entry.output or nil },
  }
end

need_log()
local verdicts = {}
for i, entry in ipairs(args.entries) do
  local task, why = held(entry)
  local broken = task and broken_story(task)
  if task and entry.number <= task.appended then
    why = 'repeated'
  elseif broken then
    why = because_of(broken)
  elseif task then
    redis.call('DEL', PREFIX .. 'nothing')  -- frees nothing; see the rules on memory
    local event = event_of(entry)
    emit(task, event)
    record_start(task)
    record(task, event, entry.output)
    redis.call('HSET', PREFIX .. 't:' .. task.id, 'sq', task.sequence, 'up', now, 'lg', entry.number)
  end
  verdicts[i] = why or 'ok'
end
publish()
return cmsgpack.pack(verdicts)
