#!lua
-- Publishes one batch of verified events, each exactly once, atomically. The shebang makes a server that is out of
-- memory refuse the script as a whole before its first write. A marker counts only while its entry is in the stream or
-- its commit is in Postgres: an event that was lost, by whatever means, is new when it is sent again.
--
-- KEYS  1 the stream · 2 the epoch · 3 the account · 4… the duplicate marker of each event, in the batch's order
-- ARGV  1 life of a marker in seconds · 2 stream length from which new events are refused
--       3 "1" where the answer "duplicate" must be a write too: WAITAOF and WAIT wait for this connection's own writes
--       4 the highest entry id that was confirmed to the caller, or '' · 5 "1" if by another server process than this one
--       6 the first number of this partition's ids, "0" in the partition whose ids Redis makes
--       7 number of fields of an entry · 8… their names · then the entries' values, one entry after the other
-- Returns an array: the stream's length before the batch; '', or the stream's last id if it is below one that was
--       confirmed: the server was restored from an older copy, or the stream deleted; then for each event one string:
--       "+<entry id>"  new: the entry is added and its marker set
--       "=<marker>"    a duplicate: what its marker holds (the entry id, or that it is committed)
--       "!"            refused: the stream is as long as the limit allows
local events, epoch, account = KEYS[1], KEYS[2], KEYS[3]
local seen_ttl_s, backlog_limit, touch, width = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[7])
local backlog = redis.call('XLEN', events)
-- A worker may have made the stream, empty, for its group; the epoch is still the first entry's id.
local begun = backlog > 0 or redis.call('EXISTS', events, epoch) == 2

local function number(id)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

local function is_below(id, other)
  local ms, sequence = number(id)
  local other_ms, other_sequence = number(other)
  return ms < other_ms or (ms == other_ms and sequence < other_sequence)
end

-- New entries get higher ids than any that was ever given away, also if this server's clock is behind.
local function moved_forward(confirmed)
  local info, last_id = redis.pcall('XINFO', 'STREAM', events), '0-0'
  if info.err and not string.find(info.err, 'no such key') then
    return '' -- this user may not ask
  end
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last_id = info[i + 1]
    end
  end
  if not is_below(last_id, confirmed) then
    return ''
  end
  if #info > 0 then
    redis.pcall('XSETID', events, confirmed)
  end
  redis.pcall('HSET', account, 'rewound', confirmed .. ' ' .. last_id) -- workers notice it by themselves, too
  return last_id
end

-- A server process that is new to the caller must know what was confirmed, and a stream that begins must be the first:
-- if it has an epoch, or anything was confirmed, somebody took the one before away, with what waited in it.
local function rewound_to()
  local confirmed = ARGV[4]
  if begun then
    return ARGV[5] == '1' and moved_forward(confirmed) or ''
  end
  confirmed = confirmed ~= '' and confirmed or redis.call('GET', epoch) or ''
  return confirmed ~= '' and moved_forward(confirmed) or ''
end

local committed
local function is_believed(seen)
  if string.sub(seen, 1, 9) ~= 'committed' then
    return string.find(seen, '^%d+%-%d+$') and #redis.call('XRANGE', events, seen, seen) > 0
  end
  if not committed then
    local restores = redis.call('HGET', account, 'restores')
    committed = restores and 'committed:' .. restores or 'committed'
  end
  return seen == committed
end

-- The ids of a partition other than 0 have numbers of its own (contract/keys.py); the milliseconds are as Redis has them.
local first_number, id_ms, id_number = tonumber(ARGV[6])
local function next_id()
  if first_number == 0 then
    return '*'
  elseif id_ms then
    id_number = id_number + 1
  else
    local time, info, last = redis.call('TIME'), redis.pcall('XINFO', 'STREAM', events), '0-0'
    id_ms, id_number = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), first_number
    for i = 1, #info, 2 do
      last = info[i] == 'last-generated-id' and info[i + 1] or last
    end
    local last_ms, last_number = number(last)
    if last_ms >= id_ms then
      id_ms, id_number = last_ms, math.max(first_number, last_number + 1)
    end
  end
  return string.format('%.0f-%.0f', id_ms, id_number)
end

local answers = { backlog, rewound_to() }
local entry, values_from = {}, 8 + width
for field = 1, width do
  entry[2 * field - 1] = ARGV[7 + field]
end

for event = 1, #KEYS - 3 do
  local marker = KEYS[event + 3]
  local seen = redis.call('GET', marker)
  if seen and is_believed(seen) then
    if touch then
      redis.call('SET', marker, seen, 'KEEPTTL')
    end
    answers[event + 2] = '=' .. seen
  elseif backlog >= backlog_limit then
    answers[event + 2] = '!'
  else
    local before = values_from + (event - 1) * width - 1
    for field = 1, width do
      entry[2 * field] = ARGV[before + field]
    end
    local id = redis.call('XADD', events, next_id(), unpack(entry))
    redis.call('SET', marker, id, 'EX', seen_ttl_s)
    if not begun then
      redis.call('SET', epoch, id)
      begun = true
    end
    backlog = backlog + 1
    answers[event + 2] = '+' .. id
  end
end

return answers
