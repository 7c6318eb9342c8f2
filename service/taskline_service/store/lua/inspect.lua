-- Reads facts about things of one kind, each at one instant.
-- args: kind (of _facts.lua), subjects
-- Returns per subject its facts, packed.

local packed = {}
for i, subject in ipairs(args.subjects) do
  packed[i] = cmsgpack.pack(FACTS[args.kind](subject))
end
return cmsgpack.pack(packed)
