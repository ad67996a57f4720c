#!lua flags=allow-oom
-- Counts a restore of Postgres, so that markers of earlier commits do not count any more; only once, whichever workers
-- have noticed it.
--
-- KEYS     1    the account
--          2    the applied hash: consumer → the event it acknowledged last
-- ARGV     1    the number of restores that the caller knows
--          2    the new number
--          3…n  pairs: a consumer, its event that Postgres lacks; forgotten unless the consumer has another one since
-- Returns  1 if it was counted, 0 if another worker has counted it.

if (redis.call('HGET', KEYS[1], 'restores') or '0') ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'restores', ARGV[2])
for i = 3, #ARGV, 2 do
    if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] then
        redis.call('HSET', KEYS[2], ARGV[i], '')
    end
end
return 1
