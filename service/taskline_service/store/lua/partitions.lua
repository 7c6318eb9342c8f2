-- Says how many partitions the namespace has. The first who wants some decides; where tasks were
-- before anybody was asked, it is one. Only in the first partition.
-- args: wanted (nil: only ask)
-- Returns the number, or nil if nobody has decided, or what is there is none and was only asked for.

local told = redis.pcall('GET', PREFIX .. 'partitions')
local known = type(told) == 'string' and tonumber(told) or nil
if told and not known and args.wanted then
  give_up('partitions')
end
if not told then
  known = redis.call('EXISTS', PREFIX .. 'rev') == 1 and 1 or args.wanted
  if known and args.wanted then
    redis.call('DEL', PREFIX .. 'partitions')  -- frees nothing; see the rules on memory
    redis.call('SET', PREFIX .. 'partitions', known)
  end
end
return cmsgpack.pack(known)
