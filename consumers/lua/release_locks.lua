#!lua flags=allow-oom
-- Releases those locks that the owner still holds. Allowed when memory is short: it frees some.
--
-- KEYS     1…n  the lock of each resource; a few thousand at most, which is what Lua can unpack
-- ARGV     1    the owner's token
-- Returns  the number of locks released.

local ours = {}
for i, token in ipairs(redis.call('MGET', unpack(KEYS))) do
    if token == ARGV[1] then
        ours[#ours + 1] = KEYS[i]
    end
end
return #ours > 0 and redis.call('DEL', unpack(ours)) or 0
