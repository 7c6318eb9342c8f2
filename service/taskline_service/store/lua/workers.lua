-- Lists live workers by id.
-- args: after (an id, '' from the start), count
-- Returns { { id, about, heartbeat (us) } }.

local ids = ask('ZRANGE', PREFIX .. 'workers', 0, -1)
table.sort(ids)
local workers = {}
for _, id in ipairs(ids) do
  local about = id > args.after and #workers < args.count and redis.pcall('GET', PREFIX .. 'w:' .. id)
  if about then
    about = type(about) == 'string' and about or ''  -- of another type: nothing that can be understood
    workers[#workers + 1] = {
      id = id, about = about, heartbeat = tonumber(redis.call('ZSCORE', PREFIX .. 'workers', id)),
    }
  end
end
return cmsgpack.pack(workers)
