-- Comes after the prelude in scripts that read tasks. A record is everything stored about a
-- task: { id, fields, spec, spec_size, progress, error, result, history }.
-- `full` adds what the BASIC view leaves out: the input, tracebacks and earlier attempts.

local HISTORY_SHOWN = 20

local function read_record(id, full, with_result)
  local fields = redis.call('HGETALL', PREFIX .. 't:' .. id)
  if not fields[1] then
    return false
  end
  local record = { id = id, fields = fields, progress = redis.call('GET', PREFIX .. 'g:' .. id) or nil }
  local spec, error = PREFIX .. 's:' .. id, PREFIX .. 'e:' .. id
  if full then
    record.spec = redis.call('GET', spec) or nil
    record.error = redis.call('GET', error) or nil
    record.history = redis.call('XREVRANGE', PREFIX .. 'h:' .. id, '+', '-', 'COUNT', HISTORY_SHOWN)
  else
    local first, failure = read_first(spec), read_first(error)
    record.spec = first and to_blob(first)
    record.error = failure and to_blob(failure)
  end
  record.spec_size = redis.call('STRLEN', spec)
  if with_result then
    record.result = redis.call('GET', PREFIX .. 'r:' .. id) or nil
  end
  return record
end

local function present_revision()
  return tonumber(redis.call('GET', PREFIX .. 'rev') or 0)
end
