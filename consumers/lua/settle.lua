#!lua flags=allow-oom
-- What follows a commit, in one step: acknowledge the entries, delete them, and mark their events as committed.
--
-- KEYS     1    the stream
--          2    the failures hash
--          3…n  the duplicate marker of each entry's event
-- ARGV     1    the group
--          2    what a marker holds once committed
--          3    the marker's life from now on, s
--          4…m  the entries' ids
-- Returns  the number of entries deleted now (fewer than given where one was settled before).

local deleted = 0
for i = 4, #ARGV do
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
    deleted = deleted + redis.call('XDEL', KEYS[1], ARGV[i])
    redis.call('HDEL', KEYS[2], ARGV[i])
end
for i = 3, #KEYS do
    redis.call('SET', KEYS[i], ARGV[2], 'EX', ARGV[3])
end
return deleted
