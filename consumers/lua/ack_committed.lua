#!lua flags=allow-oom
-- Acknowledges a commit in one step: acknowledge and delete the entries, mark their events as committed, and release
-- the locks that the owner still holds.
--
-- KEYS     1    the stream
--          2    the failures hash
--          3    the account, which counts the deleted entries
--          4    the applied hash: consumer → the event it acknowledged last
--          5…n  the duplicate marker of each entry's event, the marker of the owner's last ack if it is to be looked for,
--               then the locks
-- ARGV     1    the group
--          2    the marker's value once committed
--          3    the marker's life from now on, s
--          4    the owner's token
--          5    the number of markers among the keys
--          6    the number of markers of earlier acks among the keys: 0 or 1
--          7    the owner's consumer name
--          8    the event that Postgres must have from now on; '' if none was applied
--          9…m  the entries' ids; a few thousand at most, which is what Lua can unpack
-- Returns  {the number of entries deleted now, without those that were deleted before,
--           1 if the marker of the last ack is gone: this server was restored from an older copy; else 0}.

local markers, earlier = tonumber(ARGV[5]), tonumber(ARGV[6])
local ids, deleted = #ARGV - 8, 0
-- A refusal (a right, a wrong kind of key) ends the script where it is. The entries go last, and are counted before, so
-- that it is never taken for a deletion by hand.
local is_lost = earlier == 1 and redis.call('EXISTS', KEYS[5 + markers]) == 0
for i = 5, 4 + markers do
    redis.call('SET', KEYS[i], ARGV[2], 'EX', ARGV[3])
end
if ARGV[8] ~= '' then
    redis.call('HSET', KEYS[4], ARGV[7], ARGV[8])
end
if ids > 0 then
    redis.call('HDEL', KEYS[2], unpack(ARGV, 9))
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 9))
    redis.call('HINCRBY', KEYS[3], 'done', ids)
    deleted = redis.call('XDEL', KEYS[1], unpack(ARGV, 9))
    if deleted < ids then
        redis.call('HINCRBY', KEYS[3], 'done', deleted - ids)
    end
end
local locks_from, ours = 5 + markers + earlier, {}
if #KEYS >= locks_from then
    for i, token in ipairs(redis.call('MGET', unpack(KEYS, locks_from))) do
        if token == ARGV[4] then
            ours[#ours + 1] = KEYS[locks_from + i - 1]
        end
    end
end
if #ours > 0 then
    redis.call('DEL', unpack(ours))
end
return { deleted, is_lost and 1 or 0 }
