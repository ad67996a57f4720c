#!lua flags=allow-oom
-- Removes a consumer's name from the group, unless it still has entries or a living owner.
--
-- KEYS     1  the stream
--          2  the lease that belongs to the name
--          3  the record of begun attempts
-- ARGV     1  the group
--          2  the consumer's name
--          3  the token of an owner that releases its lease together with the name; '' for any other caller
-- Returns  1 if the name is gone, 0 if it had to stay.

if ARGV[3] ~= '' and redis.call('GET', KEYS[2]) == ARGV[3] then
    redis.call('DEL', KEYS[2])
end
if redis.call('EXISTS', KEYS[2]) == 1 then
    return 0
end
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then
    return 0
end
redis.call('HDEL', KEYS[3], ARGV[2], ARGV[2] .. '/side', ARGV[2] .. '/left')
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
