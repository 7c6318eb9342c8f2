-- Comes after the prelude in scripts that read tasks. A record is everything stored about a
-- task: { id, fields, spec, spec_size, progress, error, result, attempts }. What can be long
-- is read only if `want` has it: input, traceback, attempts, result, or of the result a
-- chunk = { offset, count }. A result whose time is over is not read, dropped or not. What is
-- damaged is given as far as it can be: whoever decodes the record will see.

-- What a key holds; nil if there is nothing, or something of another type than ours.
local function read(command, ...)
  local reply = redis.pcall(command, ...)
  return not (type(reply) == 'table' and reply.err) and reply or nil
end

local function read_result(id, chunk)
  local key = PREFIX .. 'r:' .. id
  local expire, short = unpack(redis.call('HMGET', PREFIX .. 't:' .. id, 're', 'rv'))
  if (tonumber(expire or 0) or 0) <= now then
    return nil
  end
  if not chunk then
    return short or read('GET', key)
  elseif short then
    return string.sub(short, chunk.offset + 1, chunk.offset + chunk.count)
  end
  return redis.call('EXISTS', key) == 1
    and read('GETRANGE', key, chunk.offset, chunk.offset + chunk.count - 1) or nil
end

local function read_record(id, want)
  local fields = read('HGETALL', PREFIX .. 't:' .. id)
  if not fields then
    return { id = id }
  end
  if not fields[1] then
    return redis.call('EXISTS', PREFIX .. 'x:t:' .. id) == 1 and { id = id }
  end
  local record = { id = id, fields = fields, progress = read('GET', PREFIX .. 'g:' .. id) }
  local spec, error = PREFIX .. 's:' .. id, PREFIX .. 'e:' .. id
  if want.input then
    record.spec = read('GET', spec)
  else
    local first = read_first(spec)
    record.spec = first and to_blob(first)
  end
  if want.traceback then
    record.error = read('GET', error)
  else
    local first = read_first(error)
    record.error = first and to_blob(first)
  end
  if want.attempts then
    record.attempts = read('LRANGE', PREFIX .. 'a:' .. id, 0, -1)
  end
  record.spec_size = read('STRLEN', spec)
  if want.result or want.chunk then
    record.result = read_result(id, want.chunk)
  end
  return record
end

-- Of all that is read in one call, in bytes; beyond, it is cut short.
local MAX_BYTES = 524288

-- What can be long in a record, in bytes.
local function size_of(record)
  if not record then
    return 0
  end
  local size = #(record.spec or '') + #(record.error or '') + #(record.result or '')
  for _, attempt in ipairs(record.attempts or {}) do
    size = size + #attempt
  end
  return size
end
