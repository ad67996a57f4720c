#!lua flags=allow-oom
-- Reads new entries, page by page, until their number or their bytes are enough: how large an entry is is known only
-- once it is read. It is one call, so that the reply waits for Redis' disk only once.
--
-- KEYS     1  the stream
-- ARGV     1  the group
--          2  the consumer's name
--          3  the most entries to read
--          4  the entries of one page
--          5  the bytes of values after which no further page is read
-- Returns  {{id, {field, value, …}}, …}, each delivered to the consumer for the first time.

local read = {}
local left, bytes_left = tonumber(ARGV[3]), tonumber(ARGV[5])
while left > 0 and bytes_left > 0 do
    local page_size = math.min(left, tonumber(ARGV[4]))
    local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', page_size, 'STREAMS', KEYS[1], '>')
    local page = reply and reply[1][2] or {}
    for _, entry in ipairs(page) do
        read[#read + 1] = entry
        for i = 2, #entry[2], 2 do
            bytes_left = bytes_left - #entry[2][i]
        end
    end
    if #page < page_size then
        break
    end
    left = left - page_size
end
return read
