#!lua flags=no-writes
-- One page of the ids in the stream, without their fields, so that a long backlog can be counted.
--
-- KEYS     1  the stream
-- ARGV     1  the first id, or '(' and the last id of the page before
--          2  the last id to look at
--          3  the most ids to return
-- Returns  the ids in order; none at the end, and none where the stream does not exist.

local ids = {}
for i, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
    ids[i] = entry[1]
end
return ids
