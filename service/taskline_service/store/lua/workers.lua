-- Lists live workers by id.
-- args: after (an id, '' from the start), count
-- Returns { { id, about, heartbeat (us) } }.

local ids = redis.call('ZRANGE', PREFIX .. 'workers', 0, -1)
table.sort(ids)
local workers = {}
for _, id in ipairs(ids) do
  local about = id > args.after and #workers < args.count and redis.call('GET', PREFIX .. 'w:' .. id)
  if about then
    workers[#workers + 1] = {
      id = id, about = about, heartbeat = tonumber(redis.call('ZSCORE', PREFIX .. 'workers', id)),
    }
  end
end
return cmsgpack.pack(workers)
