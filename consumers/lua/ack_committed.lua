#!lua flags=allow-oom
-- Acknowledges a commit in one step: acknowledge and delete the entries, mark their events as committed, and release
-- the locks that the owner still holds.
--
-- KEYS     1    the stream
--          2    the failures hash
--          3…n  the duplicate marker of each entry's event, then the locks
-- ARGV     1    the group
--          2    the marker's value once committed
--          3    the marker's life from now on, s
--          4    the owner's token
--          5    the number of markers among the keys
--          6…m  the entries' ids; a few thousand at most, which is what Lua can unpack
-- Returns  the number of entries deleted now, without those that were deleted before.

local markers = tonumber(ARGV[5])
local deleted = 0
if #ARGV > 5 then
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 6))
    deleted = redis.call('XDEL', KEYS[1], unpack(ARGV, 6))
    redis.call('HDEL', KEYS[2], unpack(ARGV, 6))
end
for i = 3, 2 + markers do
    redis.call('SET', KEYS[i], ARGV[2], 'EX', ARGV[3])
end
local ours = {}
if #KEYS > 2 + markers then
    for i, token in ipairs(redis.call('MGET', unpack(KEYS, 3 + markers))) do
        if token == ARGV[4] then
            ours[#ours + 1] = KEYS[2 + markers + i]
        end
    end
end
if #ours > 0 then
    redis.call('DEL', unpack(ours))
end
return deleted
