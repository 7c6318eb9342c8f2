-- Removes tasks that ended, and everything stored about them, before they expire.
-- args: ids, states (terminal ones)
-- Returns per id true if it was removed, its state if that is not among `states`, or false if
-- there is no such task, 'damaged' if its record is.

local states = set_of(args.states)
local answers = {}
for i, id in ipairs(args.ids) do
  local task, absent = load(id)
  answers[i] = task and task.state or absent
  if task and states[task.state] then
    remove(task)
    answers[i] = true
  end
end
return cmsgpack.pack(answers)
