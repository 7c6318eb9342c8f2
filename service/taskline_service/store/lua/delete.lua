-- Removes tasks that ended, and everything stored about them, before they expire.
-- args: ids, states (terminal ones)
-- Returns per id true if it was removed, its state if that is not among `states`, or false if
-- there is no such task, 'damaged' if its record is, or 'damaged <key>'.

need('retention', 'failed_by', 'lines')
local states = set_of(args.states)
local answers = {}
for i, id in ipairs(args.ids) do
  local task, absent = load(id)
  answers[i] = task and task.state or absent
  local broken = task and (broken_line(task) or broken_label(task))
  if broken then
    answers[i] = because_of(broken)
  elseif task and states[task.state] then
    remove(task)
    answers[i] = true
  end
end
write_failed_by()
return cmsgpack.pack(answers)
