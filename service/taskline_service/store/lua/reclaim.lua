-- Takes tasks back from workers that let their lease run out. A task that has lost too many
-- workers fails: it may well be what kills them.
-- While the store was away nobody could renew. It was, if nobody has called this for a while by
-- its clock, which may also have been set: workers get `hold` (us) to come back.
-- args: count, hold, max_lost, max_spared, retry_delay (us), error, record_ttl (us)
-- Returns { reclaimed = { { id, line, worker, state } }, damaged = { keys } }: those that were taken
-- back; the id alone of those whose record is gone, damaged or says otherwise.

local LONGEST_SILENCE = 1000000
local HOLDS_IN_A_ROW = 6

-- Whether a lease that ran out says anything about its worker.
local function is_quiet()
  local at, hold_until, since = unpack(redis.call('HMGET', PREFIX .. 'reclaiming', 'at', 'until', 'since'))
  hold_until, since = tonumber(hold_until or 0) or 0, tonumber(since or 0) or 0
  if not (hold_until <= now + args.hold) then
    hold_until = now + args.hold  -- nobody of ours holds for longer
  end
  local silence = math.abs(now - (tonumber(at or 0) or 0))
  if silence > LONGEST_SILENCE then
    if silence > args.hold or now > hold_until + args.hold then
      since = now
    end
    -- Where it is just slow to be called, there must be an end to it.
    if now < since + HOLDS_IN_A_ROW * args.hold then
      hold_until = now + args.hold
    end
  end
  redis.call('ZREM', PREFIX .. 'leases', '')  -- frees nothing; see the rules on memory
  redis.call('HSET', PREFIX .. 'reclaiming', 'at', now, 'until', hold_until, 'since', since)
  return now >= hold_until
end

-- Without a lease there is nothing to hold, and what was before it does not matter.
local function forget_without_leases()
  if redis.call('EXISTS', PREFIX .. 'leases') == 0 then
    redis.call('DEL', PREFIX .. 'reclaiming')
    return true
  end
end

need_log()
need('leases', 'reclaiming', 'due', 'retention', 'failed_by')
if forget_without_leases() or not is_quiet() then
  return cmsgpack.pack({ reclaimed = {}, damaged = damaged })
end

-- Whether something else took the worker with it: a task in a process of its own takes that one,
-- and its worker tells. But what keeps losing workers all the same may do it in another way.
local function is_innocent(task)
  local neither = task.attempts - task.failed - task.lost
  return task.own_process and neither <= args.max_spared
end

local reclaimed = {}
each_due('leases', args.count, function(id)
  local task = load(id)
  local broken = task and (broken_line(task, 'RETRYING', 'FAILED', 'CANCELLED') or broken_story(task))
  if broken then
    because_of(broken)
    return false
  end
  redis.call('ZREM', PREFIX .. 'leases', id)
  if task and task.state == 'RUNNING' then
    -- Without its nonce the claim is void, whatever the old worker still sends.
    redis.call('HSET', PREFIX .. 't:' .. id, 'no', '')
    lose(task, args.error, args.retry_delay, is_innocent(task) and 0 or 1)
    reclaimed[#reclaimed + 1] = { id = id, line = task.line, worker = task.worker, state = task.state }
  else
    reclaimed[#reclaimed + 1] = { id = id }
  end
end)
forget_without_leases()
publish()
return cmsgpack.pack({ reclaimed = reclaimed, damaged = damaged })
