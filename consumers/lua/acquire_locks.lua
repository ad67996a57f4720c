#!lua flags=allow-oom
-- Acquires the locks of several resources, each independently: a busy one does not stop the others. Records the attempts
-- that begin under those it acquires, in the place of the attempts before: should the owner die, these count. Allowed
-- when memory is short: without locks a worker could apply nothing, and nothing would ever be freed.
--
-- KEYS     1…n  the lock of each resource; with attempts, one more: the record of begun attempts
-- ARGV     1    the owner's token
--          2    the lock's life, ms
--          3…m  with attempts: the record's field, then each lock's attempts as '<entry id>=<attempt> …'
-- Returns  an integer per lock: 1 where the owner holds the lock now (or did already), 0 where another holds it.

local locks = #KEYS
if #ARGV > 2 then
    locks = locks - 1
end
local acquired, begun = {}, {}
for i = 1, locks do
    local lock = KEYS[i]
    acquired[i] = 1
    if not redis.call('SET', lock, ARGV[1], 'NX', 'PX', ARGV[2]) then
        if redis.call('GET', lock) == ARGV[1] then
            redis.call('PEXPIRE', lock, ARGV[2])
        else
            acquired[i] = 0
        end
    end
    if acquired[i] == 1 then
        begun[#begun + 1] = ARGV[3 + i]
    end
end
if #begun > 0 then
    redis.call('HSET', KEYS[#KEYS], ARGV[3], table.concat(begun, ' '))
end
return acquired
