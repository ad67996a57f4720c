#!lua
-- Adds an entry to the stream, of a dead letter or of an event that was never delivered, unless its event is in the
-- stream or committed already.
--
-- KEYS     1    the stream
--          2    the epoch: the id of the first entry of this stream
--          3    the account, which says what a marker holds once its event is committed
--          4    the event's duplicate marker; absent for an entry that was not an envelope, which is always added
-- ARGV     1    the id of the dead-lettered entry, '' for an event that was never delivered
--          2    the marker's time to live, in seconds
--          3    the first number of this partition's ids, '0' in the partition whose ids Redis makes
--          4    '1' if Postgres is known not to have the event: a marker that says it is committed is wrong then
--          5…n  the entry's fields: name, value, name, value …
-- Returns  {'added', the new id},
--          {'committed', ''} if the event is committed already,
--          {'waiting', its id} if another entry of the event is in the stream,
--          {'in hand', its id} if the dead-lettered entry itself is still in the stream: try again later.

local marker = KEYS[4]
local known = marker and redis.call('GET', marker)
local restores = redis.call('HGET', KEYS[3], 'restores')
if known == (restores and 'committed:' .. restores or 'committed') and ARGV[4] ~= '1' then
    return { 'committed', '' }
end
local entries = known and string.find(known, '^%d+%-%d+$') and redis.pcall('XRANGE', KEYS[1], known, known)
if entries and #entries > 0 then
    -- Changes nothing, but is a write: WAITAOF on this connection then covers the marker too.
    redis.call('EXPIRE', marker, ARGV[2])
    return { known == ARGV[1] and 'in hand' or 'waiting', known }
end

-- As publisher.lua does: the ids of a partition other than 0 have numbers of its own.
local function next_id()
    local first_number = tonumber(ARGV[3])
    if first_number == 0 then
        return '*'
    end
    local time, info, last = redis.call('TIME'), redis.pcall('XINFO', 'STREAM', KEYS[1]), '0-0'
    for i = 1, #info, 2 do
        last = info[i] == 'last-generated-id' and info[i + 1] or last
    end
    local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    local last_ms, last_number = string.match(last, '^(%d+)-(%d+)$')
    if tonumber(last_ms) < ms then
        return string.format('%.0f-%.0f', ms, first_number)
    end
    return string.format('%s-%.0f', last_ms, math.max(first_number, tonumber(last_number) + 1))
end

local is_first = redis.call('EXISTS', KEYS[1], KEYS[2]) < 2
local id = redis.call('XADD', KEYS[1], next_id(), unpack(ARGV, 5))
if is_first then
    redis.call('SET', KEYS[2], id)
end
if marker then
    redis.call('SET', marker, id, 'EX', ARGV[2])
end
return { 'added', id }
