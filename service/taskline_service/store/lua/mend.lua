-- Makes changes to a thing whose facts are still those that the changes were decided upon.
-- args: kind, subject, seen (its facts, packed), commands = { { command, key after the prefix,
--       arguments … } }, apart (a key of a damaged record; nil: none), line (whose first task may
--       be another one now; nil: none)
-- Returns true, or false if it has changed.

-- Long enough that somebody looks at it, and not for ever.
local APART_S = 30 * 86400

-- Keeps a key where nothing but this looks for it. Who watches the task reads it again, and so
-- learns of the damage.
local function set_apart(name)
  local apart = PREFIX .. 'x:' .. name
  redis.call('RENAME', PREFIX .. name, apart)
  redis.call('EXPIRE', apart, APART_S)
  local id = string.match(name, '^t:(.+)$')
  if id then
    revision = revision or redis.call('INCR', PREFIX .. 'rev')
    runs[#runs + 1] = { { kind = 'gap', at = now }, { id = id, seq = 0 } }
    contents[#contents + 1] = false
  end
end

if cmsgpack.pack(FACTS[args.kind](args.subject)) ~= args.seen then
  return cmsgpack.pack(false)
end
for _, command in ipairs(args.commands) do
  command[2] = PREFIX .. command[2]
  redis.call(unpack(command))
end
if args.apart then
  set_apart(args.apart)
end
if args.line then
  first_ready[args.line] = refresh(args.line)
end
publish()
return cmsgpack.pack(true)
