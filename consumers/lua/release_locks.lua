#!lua flags=allow-oom
-- Releases locks, but only those the owner still holds. Allowed when memory is short: it frees some.
--
-- KEYS     1…n  the lock of each resource
-- ARGV     1    the owner's token
-- Returns  the number of locks that were the owner's.

local released = 0
for _, lock in ipairs(KEYS) do
    if redis.call('GET', lock) == ARGV[1] then
        released = released + redis.call('DEL', lock)
    end
end
return released
