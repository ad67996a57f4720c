#!lua flags=no-writes
-- Searches one page of the stream for entries of some events or payments, without returning their bodies.
--
-- KEYS     1    the stream
-- ARGV     1    the first id, or '(' and the last id of the previous page
--          2    the last id to search
--          3    the page size, in entries
--          4…n  ids of events and payments
-- Returns  an array: the last id that was searched, '' for an empty page; then the ids of the matching entries.

local ids = {}
for i = 4, #ARGV do
    ids[ARGV[i]] = true
end
local found = { '' }
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
    found[1] = entry[1]
    local fields = entry[2]
    for i = 1, #fields, 2 do
        if (fields[i] == 'event_id' or fields[i] == 'resource') and ids[fields[i + 1]] then
            found[#found + 1] = entry[1]
            break
        end
    end
end
return found
