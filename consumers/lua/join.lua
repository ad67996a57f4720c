#!lua flags=allow-oom
-- Renews the membership of a worker process, and says among how many partitions and processes the work is shared.
-- Allowed when memory is short: without it nobody would take over the partitions of the dead.
--
-- KEYS     1  the hash of partitions
--          2  the hash of members: token → when it expires, ms
-- ARGV     1  the process' token
--          2  the life of its membership, ms; '0' where it leaves
--          3  the least number of partitions to be read, as far as this process knows
-- Returns  {the number of partitions to be read, {the token of each living process, …}}.

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local read = tonumber(redis.call('HGET', KEYS[1], 'read') or 1)
if read < tonumber(ARGV[3]) then
    read = tonumber(ARGV[3])
    redis.call('HSET', KEYS[1], 'read', ARGV[3])
    redis.call('HDEL', KEYS[1], 'routed') -- somebody raised the setting without `make partitions`: all are used
end
if ARGV[2] == '0' then
    redis.call('HDEL', KEYS[2], ARGV[1])
else
    redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now_ms + tonumber(ARGV[2])))
end
local members, living = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #members, 2 do
    if tonumber(members[i + 1]) < now_ms then
        redis.call('HDEL', KEYS[2], members[i])
    else
        living[#living + 1] = members[i]
    end
end
return { read, living }
