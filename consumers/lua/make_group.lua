#!lua flags=allow-oom
-- Makes the group if it is missing, from the very first entry, and the stream with it. A new stream begins a new epoch,
-- with the next entry that is added. Allowed when memory is short: without a group nothing would ever be freed.
--
-- KEYS     1  the stream
--          2  the epoch: the id of the first entry of this stream
--          3  the account, where a stream that is gone is noted as gateways note it
-- ARGV     1  the group
-- Returns  1 if it was made, 0 if it existed.

if redis.call('EXISTS', KEYS[1]) == 0 then
    local first = redis.call('GET', KEYS[2])
    if first then -- it had entries: somebody took it away, with what waited in it
        redis.call('HSETNX', KEYS[3], 'rewound', first .. ' 0-0')
        redis.call('DEL', KEYS[2])
    end
else
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
        if group[2] == ARGV[1] then
            return 0
        end
    end
end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
return 1
