#!lua flags=allow-oom
-- Compares what Redis holds with what Postgres saw of it, and looks whether entries were deleted by anybody but a worker.
-- Each change is reported once, to one worker.
--
-- KEYS     1  the stream
--          2  the epoch
--          3  the account
--          4  the applied hash: consumer → the event it acknowledged last
-- ARGV     1  the group
--          2  this worker's consumer name
--          3  the beat that Postgres has: this server's may not be lower
--          4  the pause between two beats, ms
--          5  the epoch that Postgres has, or '': if the key alone was deleted, it is set again
-- Returns  {1 where this server's beat was lower, else 0,
--           the beat that Postgres may keep, or -1: it has been here for a pause, so that it is on disk,
--           the number of restores of Postgres,
--           the number of entries deleted by somebody else since the last call,
--           the note of a gateway that noticed a restore, or '',
--           the epoch, or '' if the stream has had no entry,
--           {consumer, event, …}: the events that Postgres must have}.

local function pairs_of(flat)
    local found = {}
    for i = 1, #flat, 2 do
        found[flat[i]] = flat[i + 1]
    end
    return found
end

-- Workers of version 0.2 do not count what they delete, nor are they in the hash.
local function all_workers_count()
    local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1]) -- there may be no group
    for _, consumer in ipairs(consumers) do
        local name = pairs_of(consumer).name
        if string.find(name, '^worker%-%d+$') and redis.call('HEXISTS', KEYS[4], name) == 0 then
            return false
        end
    end
    return true
end

local known = redis.call('HMGET', KEYS[3], 'epoch', 'done')
local stream = redis.call('EXISTS', KEYS[1]) == 1 and pairs_of(redis.call('XINFO', 'STREAM', KEYS[1]))
local epoch = redis.call('GET', KEYS[2]) or ''
if stream and stream['entries-added'] == 0 and epoch ~= '' then -- of a stream before, with what waited in it
    redis.call('HSETNX', KEYS[3], 'rewound', epoch .. ' 0-0')
    redis.call('DEL', KEYS[2])
    epoch = ''
end
-- A new stream gets its epoch with its first entry: this one has lost its own.
if epoch == '' and stream and stream['entries-added'] > 0 then
    epoch = known[1] and known[1] ~= '' and known[1] or ARGV[5] -- Postgres may be an older copy
    if epoch ~= '' then
        redis.call('SET', KEYS[2], epoch)
    end
end

local function deleted_by_others()
    if not stream then
        return 0
    end
    local gone = stream['entries-added'] - stream.length
    if known[1] == epoch and tonumber(known[2] or 0) == gone then
        return 0
    end
    redis.call('HSET', KEYS[3], 'epoch', epoch, 'done', gone)
    -- Without an epoch the stream was empty: it is the same one still.
    local is_same = known[1] == epoch or known[1] == ''
    if not is_same or not all_workers_count() then
        return 0
    end
    return math.max(0, gone - tonumber(known[2] or 0))
end

redis.call('HSETNX', KEYS[4], ARGV[2], '')
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local account = redis.call('HMGET', KEYS[3], 'beat', 'beat_ms', 'restores', 'rewound')
local beat, beat_ms = tonumber(account[1] or 0), tonumber(account[2] or 0)
local is_older, confirmed = beat < tonumber(ARGV[3]), -1
if is_older then
    redis.call('HSET', KEYS[3], 'beat', tonumber(ARGV[3]) + 1, 'beat_ms', now_ms)
elseif now_ms - beat_ms >= tonumber(ARGV[4]) or now_ms < beat_ms then
    redis.call('HSET', KEYS[3], 'beat', beat + 1, 'beat_ms', now_ms)
    confirmed = beat
end
return {
    is_older and 1 or 0, confirmed, tonumber(account[3] or 0), deleted_by_others(), account[4] or '', epoch,
    redis.call('HGETALL', KEYS[4]),
}
