-- Reads what happened to a task, from the event after `after` on: some of it, if that is much.
-- args: id, after (a sequence), count
-- Returns { rev, record, entries, whole, first }, or false if there is no such task. entries: those
-- of h:<id>; the rest of its story is in the record. whole: there are no further ones. first: the
-- oldest entry that is still kept.

local STEP = 10

local stream = PREFIX .. 'h:' .. args.id
local entries, bytes, next_place, whole = {}, 0, args.after + 1, false
while not whole and #entries < args.count and bytes < MAX_BYTES do
  local want = math.min(STEP, args.count - #entries)
  local step = ask('XRANGE', stream, string.format('%.0f-0', next_place), '+', 'COUNT', want)
  for _, entry in ipairs(step) do
    entries[#entries + 1] = entry
    bytes = bytes + #entry[2][2] + #(entry[2][4] or '')
    next_place = tonumber(string.match(entry[1], '^%d+')) + 1
  end
  whole = #step < want
end
local record = read_record(args.id, { traceback = whole, result = whole })
return cmsgpack.pack(record and {
  rev = present_revision(), record = record, entries = entries, whole = whole,
  first = ask('XRANGE', stream, '-', '+', 'COUNT', 1)[1],
})
