#!lua flags=allow-oom
-- What follows a commit, in one step: acknowledge the entries, delete them, and mark their events as committed.
--
-- KEYS     1    the stream
--          2    the failures hash
--          3…n  the duplicate marker of each entry's event
-- ARGV     1    the group
--          2    what a marker holds once committed
--          3    the marker's life from now on, s
--          4…m  the entries' ids; a few thousand at most, which is what Lua can unpack
-- Returns  the number of entries deleted now (fewer than given where one was settled before).

if #ARGV < 4 then
    return 0
end
redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 4))
local deleted = redis.call('XDEL', KEYS[1], unpack(ARGV, 4))
redis.call('HDEL', KEYS[2], unpack(ARGV, 4))
for i = 3, #KEYS do
    redis.call('SET', KEYS[i], ARGV[2], 'EX', ARGV[3])
end
return deleted
