-- Whether the keys that a move is going to write are of the types that they must be: asked before
-- the first write, as one that is not would end the script in the middle.

local TYPES = {
  log = 'stream', leases = 'zset', due = 'zset', retention = 'zset', queue_timeouts = 'zset',
  ready = 'zset', lines = 'set', paused = 'set', failed_by = 'hash', reclaiming = 'hash',
  types = 'hash', types_seen = 'zset', workers = 'zset',
}

local found = {}

local function is_broken(name, kind)
  found[name] = found[name] or redis.call('TYPE', PREFIX .. name).ok
  return found[name] ~= 'none' and found[name] ~= kind
end

-- The call fails, with an error that store/connection.py knows.
local function give_up(name)
  error('DAMAGED_KEY<<' .. PREFIX .. name .. '>>')
end

-- For keys that all tasks share.
local function need(...)
  for _, name in ipairs({ ... }) do
    if is_broken(name, TYPES[name]) then
      give_up(name)
    end
  end
end

-- What a key holds, for scripts that only read: one of another type than ours is found by reading it.
local function ask(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    if find(reply.err, 'WRONGTYPE', 1, true) then
      give_up(string.sub(key, #PREFIX + 1))
    end
    error(reply.err)
  end
  return reply
end

local function present_revision()
  local text = ask('GET', PREFIX .. 'rev') or '0'
  local number = find(text, '^%d+$') and tonumber(text)
  if not number or number >= TOO_LARGE then
    give_up('rev')
  end
  return number
end

-- What every move writes that tells of it.
local function need_log()
  local last = present_revision()
  if ask('XRANGE', PREFIX .. 'log', string.format('%.0f-0', last + 1), '+', 'COUNT', 1)[1] then
    give_up('log')  -- it would take no further entry
  end
end

local sound_lines = {}

-- Of the keys of a task's line that it leaves and may come to: the first that is broken, else nil.
local function broken_line(task, ...)
  local sound = sound_lines[task.line] or {}
  sound_lines[task.line] = sound
  for _, state in ipairs({ task.state, ... }) do
    if not sound[state] then
      local name = 'i:' .. state .. ':' .. task.line
      if is_broken(name, 'zset') then
        return name
      end
      if state == 'QUEUED' and is_broken('q:' .. task.line, 'zset') then
        return 'q:' .. task.line
      end
      sound[state] = true
    end
  end
end

-- The same for its story.
local function broken_story(task)
  local story = 'h:' .. task.id
  if is_broken(story, 'stream') or (found[story] == 'stream'
    and redis.call('XRANGE', PREFIX .. story, string.format('(%.0f-0', task.sequence), '+', 'COUNT', 1)[1]) then
    return story
  elseif is_broken('a:' .. task.id, 'list') then
    return 'a:' .. task.id
  end
end

-- The same for its labels, which it is to lose.
local function broken_label(task)
  task.labels = {}
  if redis.call('HGET', PREFIX .. 't:' .. task.id, 'lb') then
    for name, value in pairs((read_spec(task.id) or {}).l or {}) do
      local label = name .. '=' .. value
      if is_broken('label:' .. label, 'zset') then
        return 'label:' .. label
      end
      table.insert(task.labels, label)
    end
  end
end

local damaged = {}

-- What to answer for a task that stays as it is because of this key; `damaged` has it as well.
local function because_of(name)
  damaged[#damaged + 1] = PREFIX .. name
  return 'damaged ' .. PREFIX .. name
end

local LONGEST_LOOK = 100
local LOOK_AGAIN = 1000000

-- Acts on tasks that are due by a line of times, first come first served: on `count` of them, or
-- fewer if there are no more. `act` takes them out of the line, or says false: then it stays.
-- Returns { done, wait (us until the next is due, nil if nothing else waits) }.
local function each_due(name, count, act)
  local done, skipped, wanted, ids = 0, 0
  repeat
    wanted = math.min(count - done, LONGEST_LOOK)
    ids = redis.call('ZRANGEBYSCORE', PREFIX .. name, '-inf', us(now), 'LIMIT', skipped, wanted)
    for _, id in ipairs(ids) do
      if act(id) == false then
        skipped = skipped + 1
      else
        done = done + 1
      end
    end
  until #ids < wanted or done == count or skipped >= LONGEST_LOOK
  local wait = wait_for(name)
  if wait and skipped > 0 and done < count then
    wait = math.max(wait, LOOK_AGAIN)
  end
  return done, wait
end
