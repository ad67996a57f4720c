#!lua flags=allow-oom
-- Counts one more delivery of delayed entries, before the worker tries them again.
--
-- KEYS     1    the stream
-- ARGV     1    the group
--          2    the consumer's name
--          3…n  pairs: an entry's id, its number of deliveries including the coming one
-- Returns  an integer per pair: 1 where the entry is still the consumer's, 0 where another has reclaimed it, 2 where
--          nobody has it: acknowledged meanwhile, or lost with the group or the stream. Trying it is safe, because
--          Postgres knows what was applied.

local kept = {}
for i = 3, #ARGV, 2 do
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
    if not pending then
        kept[#kept + 1] = 2
    elseif pending[2] == ARGV[2] then
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
        kept[#kept + 1] = 1
    else
        kept[#kept + 1] = 0
    end
end
return kept
