#!lua flags=no-writes
-- Reads one page of entry ids from the stream, without their fields, so that a long backlog can be counted.
--
-- KEYS     1  the stream
-- ARGV     1  the first id, or '(' and the last id of the previous page
--          2  the last id to read
--          3  the page size
-- Returns  the ids in order; an empty array at the end, or if the stream does not exist.

local ids = {}
for i, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
    ids[i] = entry[1]
end
return ids
