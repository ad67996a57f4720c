#!lua flags=allow-oom
-- Takes the locks of several resources, each for itself: a busy one does not stop the others. Allowed when memory is
-- short: without its locks a worker could apply nothing, and nothing would ever be freed.
--
-- KEYS     1…n  the lock of each resource
-- ARGV     1    the owner's token
--          2    the lock's life, ms
-- Returns  n integers: 1 where the lock is the owner's now (or was already), 0 where another holds it.

local taken = {}
for i, lock in ipairs(KEYS) do
    if redis.call('SET', lock, ARGV[1], 'NX', 'PX', ARGV[2]) then
        taken[i] = 1
    elseif redis.call('GET', lock) == ARGV[1] then
        redis.call('PEXPIRE', lock, ARGV[2])
        taken[i] = 1
    else
        taken[i] = 0
    end
end
return taken
