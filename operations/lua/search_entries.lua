#!lua flags=no-writes
-- Reads one page of the stream, the newest entry first, without bodies and headers.
--
-- KEYS     1  the stream
--          2  the hash of recorded failures, by entry id
-- ARGV     1  the id to begin at, or '(' and the last id of the previous page
--          2  the oldest id to read
--          3  the page size, in entries
-- Returns  for each entry an array: its id, v, source, namespace, event_id, type, resource, received_at and origin, each
--          '' if it is missing, and the recorded failure or ''.

local names = { v = 2, source = 3, namespace = 4, event_id = 5, type = 6, resource = 7, received_at = 8, origin = 9 }
local found = {}
for i, entry in ipairs(redis.call('XREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
    local row = { entry[1], '', '', '', '', '', '', '', '', redis.call('HGET', KEYS[2], entry[1]) or '' }
    local fields = entry[2]
    for j = 1, #fields, 2 do
        local place = names[fields[j]]
        if place then
            row[place] = fields[j + 1]
        end
    end
    found[i] = row
end
return found
