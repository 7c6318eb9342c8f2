-- Counts tasks, and reads what happened lately; all of it at the same instant.
-- args: lines, failed_by (fields of that hash), window (seconds), queues (whose history; '' for that of all)
-- Returns { lines = { { line, counts = { <state> = number } } },
--           failed_by = { number or false, for each field },
--           growth (of a bin to the next), width (of a bucket, in seconds),
--           buckets = { { start (seconds), hashes = { { name, number, ... } } } } }.

local lines = {}
for i, line in ipairs(args.lines) do
  local counts = {}
  for state in pairs(EDGES) do
    counts[state] = ask('ZCARD', index(state, line))
  end
  lines[i] = { line = line, counts = counts }
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
  for _, queue in ipairs(args.queues) do
    local hash = ask('HGETALL', string.format('%sstats:%d:%d:%s', PREFIX, kind.width, start, queue))
    if hash[1] then
      hashes[#hashes + 1] = hash
    end
  end
  buckets[#buckets + 1] = { start = start, hashes = hashes }
end
return cmsgpack.pack({
  lines = lines, growth = BIN_GROWTH, width = kind.width, buckets = buckets,
  failed_by = args.failed_by[1] and ask('HMGET', PREFIX .. 'failed_by', unpack(args.failed_by)) or {},
})
