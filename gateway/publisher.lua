#!lua
-- Publishes one batch of verified events, each exactly once, atomically. The shebang makes a server that is out of
-- memory refuse the script as a whole before its first write.
--
-- KEYS  1 the stream · 2 the epoch · 3… the duplicate marker of each event, in the batch's order
-- ARGV  1 life of a marker in seconds · 2 stream length from which new events are refused
--       3 "1" where the answer "duplicate" must be a write too: WAITAOF and WAIT wait for this connection's own writes
--       4 number of fields of an entry · 5… their names · then the entries' values, one entry after the other
-- Returns an array: the stream's length before the batch, then for each event one string:
--       "+<entry id>"  new: the entry is added and its marker set
--       "=<marker>"    a duplicate: what its marker holds (the entry id, or `committed`)
--       "!"            refused: the stream is as long as the limit allows
local events, epoch = KEYS[1], KEYS[2]
local seen_ttl_s, backlog_limit, touch, width = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local backlog = redis.call('XLEN', events)
-- A worker may have made the stream, empty, for its group; the epoch is still the first entry's id.
local begun = backlog > 0 or redis.call('EXISTS', events, epoch) == 2
local answers = { backlog }
local entry, values_from = {}, 5 + width
for field = 1, width do
  entry[2 * field - 1] = ARGV[4 + field]
end

for number = 1, #KEYS - 2 do
  local marker = KEYS[number + 2]
  local seen = redis.call('GET', marker)
  if seen then
    if touch then
      redis.call('SET', marker, seen, 'KEEPTTL')
    end
    answers[number + 1] = '=' .. seen
  elseif backlog >= backlog_limit then
    answers[number + 1] = '!'
  else
    local before = values_from + (number - 1) * width - 1
    for field = 1, width do
      entry[2 * field] = ARGV[before + field]
    end
    local id = redis.call('XADD', events, '*', unpack(entry))
    redis.call('SET', marker, id, 'EX', seen_ttl_s)
    if not begun then
      redis.call('SET', epoch, id)
      begun = true
    end
    backlog = backlog + 1
    answers[number + 1] = '+' .. id
  end
end

return answers
