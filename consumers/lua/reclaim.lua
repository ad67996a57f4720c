#!lua flags=allow-oom
-- Takes over entries that nobody works on any more: one page of the pending list, from a cursor, so that the whole
-- list is walked. An entry that was delivered suspiciously often is taken alone, so that only it can bring its worker
-- down again.
--
-- KEYS     1  the stream
-- ARGV     1  the group
--          2  the new owner's consumer name
--          3  the idle time from which an entry counts as left behind, ms
--          4  the cursor: '-' to begin, then what the last call returned
--          5  the most entries to take
--          6  the number of deliveries past which an entry is taken alone
--          7  the bytes of values after which no more is taken
-- Returns  {the next cursor ('-' at the end of the list),
--           {{id, deliveries with this one, {field, value, …}}, …},
--           {ids that are pending but gone from the stream; they are dropped from the pending list}}.

local page = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], ARGV[4], '+', ARGV[5])
local cursor = ARGV[4]
local taken, gone = {}, {}
local bytes_left = tonumber(ARGV[7])
for _, pending in ipairs(page) do
    local id, deliveries = pending[1], pending[4]
    local suspect = deliveries > tonumber(ARGV[6])
    if suspect and #taken > 0 then
        return { cursor, taken, gone }
    end
    local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id)[1]
    if entry then
        taken[#taken + 1] = { id, deliveries + 1, entry[2] }
        for i = 2, #entry[2], 2 do
            bytes_left = bytes_left - #entry[2][i]
        end
    else
        gone[#gone + 1] = id
    end
    cursor = '(' .. id
    if (suspect and entry) or bytes_left <= 0 then
        return { cursor, taken, gone }
    end
end
if #page < tonumber(ARGV[5]) then
    cursor = '-'
end
return { cursor, taken, gone }
