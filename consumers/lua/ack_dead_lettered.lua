#!lua flags=allow-oom
-- Acknowledges an entry that was written to the dead letters, in one step: acknowledge it, delete it, and delete its
-- marker, so that a redelivery by the provider is accepted again. A marker that belongs to another entry stays.
--
-- KEYS     1  the stream
--          2  the failures hash
--          3  the account, which counts the deleted entries
--          4  the event's duplicate marker; absent where the entry could not be decoded
-- ARGV     1  the group
--          2  the entry's id
-- Returns  1 if the marker was deleted, else 0.

-- A refusal (a right, a wrong kind of key) ends the script where it is: the entry goes last, and is counted before.
redis.call('HDEL', KEYS[2], ARGV[2])
local forgotten = 0
if KEYS[4] and redis.call('GET', KEYS[4]) == ARGV[2] then
    forgotten = redis.call('DEL', KEYS[4])
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[3], 'done', 1)
if redis.call('XDEL', KEYS[1], ARGV[2]) == 0 then
    redis.call('HINCRBY', KEYS[3], 'done', -1)
end
return forgotten
