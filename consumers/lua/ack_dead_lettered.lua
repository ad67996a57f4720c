#!lua flags=allow-oom
-- Acknowledges an entry that was written to the dead letters, in one step: acknowledge it, delete it, and delete its
-- marker, so that a redelivery by the provider is accepted again. A marker that belongs to another entry stays.
--
-- KEYS     1  the stream
--          2  the failures hash
--          3  the event's duplicate marker; absent where the entry could not be decoded
-- ARGV     1  the group
--          2  the entry's id
-- Returns  1 if the marker was deleted, else 0.

redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
if KEYS[3] and redis.call('GET', KEYS[3]) == ARGV[2] then
    return redis.call('DEL', KEYS[3])
end
return 0
