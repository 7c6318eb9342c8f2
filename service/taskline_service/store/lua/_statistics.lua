-- Statistics: what happens in one call is added up here and written once, by publish().

-- Times are counted in bins that grow by this factor, so that their middle is at most
-- 9 percent off.
local BIN_GROWTH = 1.18
local BINS_PER_E = 1 / math.log(BIN_GROWTH)
-- Buckets of `width` seconds are kept for as long as `reach`: long windows take wider ones.
local BUCKETS = { { width = 60, reach = 7200 }, { width = 900, reach = 86400 } }

local happened, failed_now = {}, {}

local function count(line, what)
  local here = happened[line]
  if not here then
    here = {}
    happened[line] = here
  end
  here[what] = (here[what] or 0) + 1
end

local log = math.log

local function bin_of(us)
  if us < 2 then
    return 0
  end
  local bin = log(us) * BINS_PER_E
  return bin - bin % 1
end

-- Starts are counted under the number of their bin, ends under its complement: this is done
-- for every task, and text is made of it once per call.
local function name_of(what)
  if type(what) == 'string' then
    return what
  end
  return what >= 0 and 'q' .. what or 'r' .. -1 - what
end

local COUNTED = { COMPLETED = 'completed', FAILED = 'failed', RETRYING = 'retried' }

local function failed_field(error_type, line)
  return error_type .. ':' .. queue_of(line)
end

-- Counts a move, before it is made. The time of an attempt counts if the attempt came to an
-- end by itself: not if it was cancelled, given back, or lost with its worker.
local function count_move(task, to)
  if to == 'RUNNING' then
    count(task.line, bin_of(now - task.due))
  elseif COUNTED[to] then
    count(task.line, COUNTED[to])
    if task.state == 'RUNNING' and task.error_type ~= 'worker_lost' then
      count(task.line, -1 - bin_of(now - task.start))
    end
  end
  if to == 'FAILED' and task.error_type then
    local field = failed_field(task.error_type, task.line)
    failed_now[field] = (failed_now[field] or 0) + 1
  end
end

-- A FAILED task goes, or is put back on its queue. Its `et` must still be there.
local function forget_failed(task)
  local error_type = redis.call('HGET', PREFIX .. 't:' .. task.id, 'et')
  if error_type then
    local field = failed_field(error_type, task.line)
    failed_now[field] = (failed_now[field] or 0) - 1
  end
end

local function write_failed_by()
  for field, number in pairs(failed_now) do
    local left = redis.pcall('HINCRBY', PREFIX .. 'failed_by', field, number)
    if type(left) == 'table' then  -- a stranger's counter: `taskline fsck` counts anew
      because_of('failed_by')
    elseif left <= 0 then
      redis.call('HDEL', PREFIX .. 'failed_by', field)
    end
  end
end

-- Adds to a counter; returns its sum. No task depends on it: what a stranger put there goes.
local function add_to(key, what, number)
  local sum = redis.pcall('HINCRBY', key, what, number)
  if type(sum) == 'table' and find(sum.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', key)
    return redis.call('HINCRBY', key, what, number)
  end
  return sum
end

-- Adds what happened in this call to a bucket of each width.
local function write_bucket(queue, sums)
  for _, kind in ipairs(BUCKETS) do
    local start = seconds_and_us[1] - seconds_and_us[1] % kind.width
    local key = string.format('%sstats:%d:%d:%s', PREFIX, kind.width, start, queue)
    local fresh = false
    for what, number in pairs(sums) do
      if add_to(key, what, number) == number then
        fresh = true
      end
    end
    if fresh then  -- perhaps the whole bucket is
      redis.call('EXPIREAT', key, start + 2 * kind.width + kind.reach)
    end
  end
end

local function write_stats()
  local all, by_queue = {}, {}
  for line, sums in pairs(happened) do
    local queue = queue_of(line)
    by_queue[queue] = by_queue[queue] or {}
    for what, number in pairs(sums) do
      local name = name_of(what)
      by_queue[queue][name] = (by_queue[queue][name] or 0) + number
      all[name] = (all[name] or 0) + number
    end
  end
  if next(all) then
    write_bucket('', all)
  end
  for queue, sums in pairs(by_queue) do
    write_bucket(queue, sums)
  end
  write_failed_by()
end
