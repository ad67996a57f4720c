#!lua flags=allow-oom
-- Renews everything a worker holds: its lease, its locks, and its entries' idle time. What it has lost meanwhile stays
-- with the new owner: a worker that was stopped for long must not steal it back. With its lease a worker has lost its
-- name, and so all its entries, because the name may be another worker's now.
--
-- KEYS     1    the stream
--          2    the worker's lease
--          3…n  the locks it believes to hold
-- ARGV     1    the group
--          2    the consumer's name
--          3    the worker's token; locks of its side lane have it with '/side' at the end
--          4    the lease's life, ms
--          5    a lock's life, ms
--          6…m  ids of the entries in flight
-- Returns  {1 if the lease is still its own else 0, number of locks lost, number of entries lost}.

local function renew(key, life_ms)
    local owner = redis.call('GET', key)
    if owner == ARGV[3] or owner == ARGV[3] .. '/side' then
        return redis.call('PEXPIRE', key, life_ms)
    end
    return 0
end

local lease_kept = renew(KEYS[2], ARGV[4])
local locks_lost = 0
for i = 3, #KEYS do
    locks_lost = locks_lost + 1 - renew(KEYS[i], ARGV[5])
end
if lease_kept == 0 then
    return { 0, locks_lost, #ARGV - 5 }
end
local entries_lost = 0
for i = 6, #ARGV do
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
    if #pending == 0 then
        entries_lost = entries_lost + 1
    else
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    end
end
return { lease_kept, locks_lost, entries_lost }
