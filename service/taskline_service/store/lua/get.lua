-- Reads tasks, all of them at the same instant.
-- args: ids, want
-- Returns { rev, records }; false in the place of a task that there is not.

local records = {}
for i, id in ipairs(args.ids) do
  records[i] = read_record(id, args.want)
end
return cmsgpack.pack({ rev = present_revision(), records = records })
