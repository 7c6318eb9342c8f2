-- Counts tasks, and reads what happened lately; all of it at the same instant.
-- args: queues (nil: all), window (seconds)
-- Returns { lines = { { line, counts = { <state> = number } } },
--           failed_by = { { error type, number } },
--           growth (of a bin to the next), width (of a bucket, in seconds),
--           buckets = { { start (seconds), hashes = { { name, number, ... } } } } }.

local queues = args.queues and set_of(args.queues)

local lines = {}
for _, line in ipairs(redis.call('SMEMBERS', PREFIX .. 'lines')) do
  local _, queue = split_line(line)
  if not queues or queues[queue] then
    local counts = {}
    for state in pairs(EDGES) do
      counts[state] = redis.call('ZCARD', index(state, line))
    end
    lines[#lines + 1] = { line = line, counts = counts }
  end
end

local failed_by, flat = {}, redis.call('HGETALL', PREFIX .. 'failed_by')
for i = 1, #flat, 2 do
  local error_type, queue = split_line(flat[i])
  if not queues or queues[queue] then
    failed_by[#failed_by + 1] = { error_type, tonumber(flat[i + 1]) }
  end
end

local kind = BUCKETS[#BUCKETS]
for i = #BUCKETS, 1, -1 do
  if args.window <= BUCKETS[i].reach then
    kind = BUCKETS[i]
  end
end
local buckets, seconds = {}, tonumber(seconds_and_us[1])
local first = seconds - args.window
for start = first - first % kind.width, seconds, kind.width do
  local hashes = {}
  for _, queue in ipairs(args.queues or { '' }) do
    local hash = redis.call('HGETALL', string.format('%sstats:%d:%d:%s', PREFIX, kind.width, start, queue))
    if hash[1] then
      hashes[#hashes + 1] = hash
    end
  end
  buckets[#buckets + 1] = { start = start, hashes = hashes }
end
return cmsgpack.pack({
  lines = lines, failed_by = failed_by, growth = BIN_GROWTH, width = kind.width, buckets = buckets,
})
