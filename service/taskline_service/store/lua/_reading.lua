-- Comes after the prelude in scripts that read tasks. A record is everything stored about a
-- task: { id, fields, spec, spec_size, progress, error, result, history }. What can be long
-- is read only if `want` has it: input, traceback, history, result.

local HISTORY_SHOWN = 20

-- The latest attempts of the history, newest first; it has other entries too.
local function read_attempts(id)
  local attempts, before = {}, '+'
  repeat
    local page = redis.call('XREVRANGE', PREFIX .. 'h:' .. id, before, '-', 'COUNT', HISTORY_SHOWN)
    for _, entry in ipairs(page) do
      if entry[2][1] == 'a' and #attempts < HISTORY_SHOWN then
        attempts[#attempts + 1] = entry
      end
      before = '(' .. entry[1]
    end
  until #attempts == HISTORY_SHOWN or #page < HISTORY_SHOWN
  return attempts
end

local function read_record(id, want)
  local fields = redis.call('HGETALL', PREFIX .. 't:' .. id)
  if not fields[1] then
    return false
  end
  local record = { id = id, fields = fields, progress = redis.call('GET', PREFIX .. 'g:' .. id) or nil }
  local spec, error = PREFIX .. 's:' .. id, PREFIX .. 'e:' .. id
  if want.input then
    record.spec = redis.call('GET', spec) or nil
  else
    local first = read_first(spec)
    record.spec = first and to_blob(first)
  end
  if want.traceback then
    record.error = redis.call('GET', error) or nil
  else
    local first = read_first(error)
    record.error = first and to_blob(first)
  end
  if want.history then
    record.history = read_attempts(id)
  end
  record.spec_size = redis.call('STRLEN', spec)
  if want.result then
    record.result = redis.call('GET', PREFIX .. 'r:' .. id) or nil
  end
  return record
end

local function present_revision()
  return tonumber(redis.call('GET', PREFIX .. 'rev') or 0)
end
