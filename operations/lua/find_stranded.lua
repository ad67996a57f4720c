#!lua flags=no-writes
-- Reads one page of the entries that were read, and finds those that are in nobody's pending list.
--
-- KEYS     1  the stream
-- ARGV     1  the group
--          2  the first id, or '(' and the last id of the previous page
--          3  the last id that was read
--          4  the page size
-- Returns  an array: the last id of this page, '' at the end; then the ids that nobody has.

local page = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
local found = { '' }
for _, entry in ipairs(page) do
    if #redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1) == 0 then
        found[#found + 1] = entry[1]
    end
    found[1] = entry[1]
end
if #page < tonumber(ARGV[4]) then
    found[1] = ''
end
return found
