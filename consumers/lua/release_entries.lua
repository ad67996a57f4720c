#!lua flags=allow-oom
-- Releases entries that were not tried: another worker may reclaim them at once, and the delivery is not counted.
--
-- KEYS     1    the stream
--          2    the record of begun attempts: those of the consumer are ended, and do not count
-- ARGV     1    the group
--          2    the consumer's name
--          3    the idle time to leave them with, ms
--          4…n  pairs: an entry's id, its number of deliveries without this one
-- Returns  the number of entries released.

local released = 0
for i = 4, #ARGV, 2 do
    if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 1 then
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
        released = released + 1
    end
end
redis.call('HDEL', KEYS[2], ARGV[2], ARGV[2] .. '/side')
return released
