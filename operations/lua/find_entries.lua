#!lua flags=no-writes
-- Looks through one page of the stream for entries about an event or a payment, without giving their bodies away.
--
-- KEYS     1    the stream
-- ARGV     1    the first id, or '(' and the last id of the page before
--          2    the last id to look at
--          3    how many entries to look at
--          4…n  ids, of events and of payments
-- Returns  an array: the last id that was looked at, '' where there was none; then the ids of the entries found.

local wanted = {}
for i = 4, #ARGV do
    wanted[ARGV[i]] = true
end
local found = { '' }
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
    found[1] = entry[1]
    local fields = entry[2]
    for i = 1, #fields, 2 do
        if (fields[i] == 'event_id' or fields[i] == 'resource') and wanted[fields[i + 1]] then
            found[#found + 1] = entry[1]
            break
        end
    end
end
return found
