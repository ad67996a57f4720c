#!lua flags=allow-oom
-- Reclaims entries that no worker has renewed: one page of the pending list, from a cursor, so that the whole list is
-- walked. An entry with many begun attempts may be a poison message and is reclaimed alone, so that it cannot take others
-- down with its worker. The delivery count says nothing: it also grows where the reply to a delivery is lost.
--
-- KEYS     1  the stream
--          2  the failures hash
--          3  the record of begun attempts
-- ARGV     1  the group
--          2  the new owner's consumer name
--          3  the idle time from which an entry may be reclaimed, ms
--          4  the cursor: '-' to begin, then what the last call returned
--          5  the most entries to reclaim
--          6  the begun attempt above which an entry is reclaimed alone
--          7  the bytes of values after which no more is reclaimed
-- Returns  {the next cursor ('-' at the end of the list),
--           {{id, the consumer before, the attempt it had begun or 0, {field, value, …}, its failure or ''}, …},
--           {ids that are pending but gone from the stream; they are dropped from the pending list}}.

local attempts_of = {}
local function begun_by(consumer)
    if not attempts_of[consumer] then
        local attempts = {}
        for _, record in ipairs(redis.call('HMGET', KEYS[3], consumer, consumer .. '/side', consumer .. '/left')) do
            for id, attempt in string.gmatch(record or '', '(%d+%-%d+)=(%d+)') do
                attempts[id] = math.max(attempts[id] or 0, tonumber(attempt))
            end
        end
        attempts_of[consumer] = attempts
    end
    return attempts_of[consumer]
end

local page = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], ARGV[4], '+', ARGV[5])
local cursor = ARGV[4]
local reclaimed, gone = {}, {}
local bytes_left = tonumber(ARGV[7])
for _, pending in ipairs(page) do
    local id, consumer = pending[1], pending[2]
    local begun = begun_by(consumer)[id] or 0
    local is_quarantined = begun > tonumber(ARGV[6])
    if is_quarantined and #reclaimed > 0 then
        return { cursor, reclaimed, gone }
    end
    local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id)[1]
    if entry then
        reclaimed[#reclaimed + 1] = { id, consumer, begun, entry[2], redis.call('HGET', KEYS[2], id) or '' }
        for i = 2, #entry[2], 2 do
            bytes_left = bytes_left - #entry[2][i]
        end
    else
        gone[#gone + 1] = id
    end
    cursor = '(' .. id
    if (is_quarantined and entry) or bytes_left <= 0 then
        return { cursor, reclaimed, gone }
    end
end
if #page < tonumber(ARGV[5]) then
    cursor = '-'
end
return { cursor, reclaimed, gone }
