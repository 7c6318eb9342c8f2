-- Makes changes to a thing whose facts are still those that the changes were decided upon.
-- args: kind, subject, seen (its facts, packed), commands = { { command, key after the prefix,
--       arguments … } }, line (whose first task may be another one now; nil: none)
-- Returns true, or false if it has changed.

if cmsgpack.pack(FACTS[args.kind](args.subject)) ~= args.seen then
  return cmsgpack.pack(false)
end
for _, command in ipairs(args.commands) do
  command[2] = PREFIX .. command[2]
  redis.call(unpack(command))
end
if args.line then
  first_ready[args.line] = refresh(args.line)
end
publish()
return cmsgpack.pack(true)
