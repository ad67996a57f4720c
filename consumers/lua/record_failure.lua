#!lua
-- Records why entries wait, if they are still the consumer's. A worker that was stopped for long must not record one
-- for an entry that was acknowledged meanwhile, because nothing would ever delete it.
--
-- KEYS     1    the stream
--          2    the failures hash
-- ARGV     1    the group
--          2    the consumer's name
--          3…n  pairs: an entry's id, its failure as JSON
-- Returns  the number of failures recorded.

local recorded = 0
for i = 3, #ARGV, 2 do
    if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 1 then
        redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
        recorded = recorded + 1
    end
end
return recorded
