-- Reads what happened to a task, from the event after `after` on.
-- args: id, after (a sequence), count
-- Returns { rev, record, entries, first }, or false if there is no such task. entries: those of
-- h:<id>; the rest of its story is in the record. first: the oldest entry that is still kept.

local stream = PREFIX .. 'h:' .. args.id
local entries = redis.call('XRANGE', stream, string.format('%.0f-0', args.after + 1), '+', 'COUNT', args.count)
local last_page = #entries < args.count
local record = read_record(args.id, { traceback = last_page, result = last_page })
return cmsgpack.pack(record and {
  rev = present_revision(), record = record, entries = entries,
  first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1],
})
