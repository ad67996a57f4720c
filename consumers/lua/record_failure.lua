#!lua
-- Leaves word of why entries wait, where they are still the consumer's: a worker that was stopped for long must not leave
-- a note about an entry that another has settled meanwhile, for nobody would ever take it away.
--
-- KEYS     1    the stream
--          2    the failures hash
-- ARGV     1    the group
--          2    the consumer's name
--          3…n  pairs: an entry's id, its note
-- Returns  the number of notes left.

local noted = 0
for i = 3, #ARGV, 2 do
    if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 1 then
        redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
        noted = noted + 1
    end
end
return noted
