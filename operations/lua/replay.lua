#!lua
-- Adds the entry of a dead letter to the stream again, unless its event is in the stream or committed already.
--
-- KEYS     1    the stream
--          2    the epoch: the id of the first entry of this stream
--          3    the account, which says what a marker holds once its event is committed
--          4    the event's duplicate marker; absent for an entry that was not an envelope, which is always added
-- ARGV     1    the id of the dead-lettered entry
--          2    the marker's time to live, in seconds
--          3…n  the entry's fields: name, value, name, value …
-- Returns  {'added', the new id},
--          {'committed', ''} if the event is committed already,
--          {'waiting', its id} if another entry of the event is in the stream,
--          {'in hand', its id} if the dead-lettered entry itself is still in the stream: try again later.

local marker = KEYS[4]
local known = marker and redis.call('GET', marker)
local restores = redis.call('HGET', KEYS[3], 'restores')
if known == (restores and 'committed:' .. restores or 'committed') then
    return { 'committed', '' }
end
if known and #redis.pcall('XRANGE', KEYS[1], known, known) > 0 then
    -- Changes nothing, but is a write: WAITAOF on this connection then covers the marker too.
    redis.call('EXPIRE', marker, ARGV[2])
    return { known == ARGV[1] and 'in hand' or 'waiting', known }
end

local is_first = redis.call('EXISTS', KEYS[1], KEYS[2]) < 2
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
if is_first then
    redis.call('SET', KEYS[2], id)
end
if marker then
    redis.call('SET', marker, id, 'EX', ARGV[2])
end
return { 'added', id }
