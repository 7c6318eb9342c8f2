-- Reads tasks, all of them at the same instant: the first ones, if they are too long together.
-- args: ids, want
-- Returns { rev, records }; false in the place of a task that there is not.

local records, bytes = {}, 0
for i, id in ipairs(args.ids) do
  if bytes > MAX_BYTES then
    break
  end
  records[i] = read_record(id, args.want)
  bytes = bytes + size_of(records[i])
end
return cmsgpack.pack({ rev = present_revision(), records = records })
