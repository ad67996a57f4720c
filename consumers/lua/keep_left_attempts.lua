#!lua flags=allow-oom
-- Keeps the attempts that the last owner of a consumer's name had begun, for those entries that are still pending under
-- the name: the new owner records its own in their place.
--
-- KEYS     1  the stream
--          2  the record of begun attempts
-- ARGV     1  the group
--          2  the consumer's name
-- Returns  the number of attempts kept.

local left = {}
for _, record in ipairs(redis.call('HMGET', KEYS[2], ARGV[2], ARGV[2] .. '/side', ARGV[2] .. '/left')) do
    for id, attempt in string.gmatch(record or '', '(%d+%-%d+)=(%d+)') do
        left[id] = math.max(left[id] or 0, tonumber(attempt))
    end
end
local kept = {}
for id, attempt in pairs(left) do
    if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) == 1 then
        kept[#kept + 1] = id .. '=' .. string.format('%d', attempt)
    end
end
redis.call('HDEL', KEYS[2], ARGV[2], ARGV[2] .. '/side', ARGV[2] .. '/left')
if #kept > 0 then
    redis.call('HSET', KEYS[2], ARGV[2] .. '/left', table.concat(kept, ' '))
end
return #kept
