#!lua flags=allow-oom
-- Acquires the locks of several resources, each independently: a busy one does not stop the others. Allowed when memory
-- is short: without locks a worker could apply nothing, and nothing would ever be freed.
--
-- KEYS     1…n  the lock of each resource
-- ARGV     1    the owner's token
--          2    the lock's life, ms
-- Returns  n integers: 1 where the owner holds the lock now (or did already), 0 where another holds it.

local acquired = {}
for i, lock in ipairs(KEYS) do
    if redis.call('SET', lock, ARGV[1], 'NX', 'PX', ARGV[2]) then
        acquired[i] = 1
    elseif redis.call('GET', lock) == ARGV[1] then
        redis.call('PEXPIRE', lock, ARGV[2])
        acquired[i] = 1
    else
        acquired[i] = 0
    end
end
return acquired
