-- Drops results, and later records, whose time is over; what the log has told for as long as
-- results are kept; and task types that nobody has been able to run for as long as records are kept.
-- args: count, result_ttl (us), record_ttl (us)
-- Returns { dropped, wait (us until the next is due, nil if nothing else is kept),
--           dangling = { ids }, damaged = { keys } }; dangling: ids that were kept although their
--           record is gone or damaged.

local LOG_STEP = 1000  -- entries of the log that one call drops, at most

-- Revision and time of the first entry of the log from this revision on.
local function log_entry(revision)
  local entry = redis.call('XRANGE', PREFIX .. 'log', string.format('%.0f-0', revision), '+', 'COUNT', 1)[1]
  if entry then
    local revision_of, time = string.match(entry[1], '^(%d+)-(%d+)$')
    return tonumber(revision_of), tonumber(time)
  end
end

-- Drops what is too old from the log; returns how long until the next is, nil if that was all.
local function shorten_log()
  local oldest = now - args.result_ttl
  local first, time = log_entry(0)
  if first and time <= oldest then
    -- Between an entry that goes and one that stays there is one step less each time.
    local goes, stays = first, first + LOG_STEP
    while stays - goes > 1 do
      local middle = math.floor((goes + stays) / 2)
      local _, middle_time = log_entry(middle)
      if middle_time and middle_time <= oldest then
        goes = middle
      else
        stays = middle
      end
    end
    redis.call('XTRIM', PREFIX .. 'log', 'MINID', string.format('%.0f-0', stays))
    time = select(2, log_entry(0))
  end
  return time and math.max(0, time - oldest)
end

need('log', 'retention', 'failed_by', 'lines', 'types', 'types_seen')
-- First, so that nothing is left there of a task whose record goes.
local log_wait = shorten_log()
local dangling = {}
local done, wait = each_due('retention', args.count, function(id)
  local task = load(id)
  local broken = task and (broken_line(task) or broken_label(task))
  if broken then
    because_of(broken)
    return false
  end
  local expire = task and tonumber(redis.call('HGET', PREFIX .. 't:' .. id, 'xp') or 0)
  if not task or not TERMINAL[task.state] then
    redis.call('ZREM', PREFIX .. 'retention', id)
    dangling[#dangling + 1] = id
  elseif expire and expire > now then
    redis.call('UNLINK', PREFIX .. 'r:' .. id)
    redis.call('HDEL', PREFIX .. 't:' .. id, 'rv')
    redis.call('ZADD', PREFIX .. 'retention', expire, id)
  else
    remove(task)
  end
end)
write_failed_by()
-- Longer than from one heartbeat of a worker to the next, however short records are kept.
local TYPES_KEPT = 60000000
local forgotten = redis.call('ZRANGEBYSCORE', PREFIX .. 'types_seen', '-inf', now - math.max(args.record_ttl, TYPES_KEPT),
  'LIMIT', 0, args.count)
for _, name in ipairs(forgotten) do
  redis.call('ZREM', PREFIX .. 'types_seen', name)
  redis.call('HDEL', PREFIX .. 'types', name)
end
return cmsgpack.pack({
  dropped = done - #dangling, dangling = dangling, damaged = damaged,
  wait = wait and log_wait and math.min(wait, log_wait) or wait or log_wait,
})
