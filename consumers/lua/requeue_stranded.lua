#!lua flags=allow-oom
-- Puts entries that were read, and are in nobody's pending list, back into it, to be reclaimed like those of a dead
-- worker. Acknowledged entries are deleted in the same step, so that such an entry means that somebody removed its
-- consumer (XGROUP DELCONSUMER), moved or made the group (XGROUP SETID, CREATE), or acknowledged it by hand.
--
-- KEYS     1  the stream
-- ARGV     1  the group
--          2  the consumer that has them from now on
--          3  the idle time to give them, ms: they can be reclaimed at once
--          4  the cursor: '-' to begin, then what the last call returned
--          5  the entries of one page
-- Returns  {the next cursor, '-' at the end,
--           1 where the numbers of the stream show some, 0 where they do not say, -1 where they show that it has none,
--           the number of entries put back}.

local function pairs_of(flat)
    local found = {}
    for i = 1, #flat, 2 do
        found[flat[i]] = flat[i + 1]
    end
    return found
end

if redis.call('EXISTS', KEYS[1]) == 0 then
    return { '-', -1, 0 }
end
local stream, group = pairs_of(redis.call('XINFO', 'STREAM', KEYS[1])), nil
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local found = pairs_of(flat)
    if found.name == ARGV[1] then
        group = found
    end
end
if not group or stream.length == 0 then
    return { '-', -1, 0 }
end
local delivered, shown = group['last-delivered-id'], 0
local unread = delivered == stream['last-generated-id'] and 0 or group.lag
if unread then
    shown = stream.length - unread > group.pending and 1 or -1
elseif stream.length <= group.pending then
    shown = -1
end
if shown == -1 then
    return { '-', -1, 0 }
end

local page = redis.call('XRANGE', KEYS[1], ARGV[4], delivered, 'COUNT', ARGV[5])
local cursor, put_back = '-', 0
for _, entry in ipairs(page) do
    local id = entry[1]
    if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) == 0 then
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3], 'RETRYCOUNT', 1, 'FORCE', 'JUSTID')
        put_back = put_back + 1
    end
    cursor = '(' .. id
end
if #page < tonumber(ARGV[5]) then
    cursor = '-'
end
return { cursor, shown, put_back }
