#!lua flags=no-writes
-- Reads the length and age of the backlog in one call, without the entries' bodies.
--
-- KEYS     1  the stream
-- ARGV     1  the group
-- Returns  {now, in ms} where the stream does not exist,
--          {now, stream} where it has no such group,
--          {now, stream, group} otherwise, with
--          stream = {length, entries added ever, last id, oldest id or ''},
--          group  = {last delivered id, lag (-1 where the server does not know it), pending, oldest pending id or '',
--                    its idle time, ms}.

local function field(flat, name)
    for i = 1, #flat, 2 do
        if flat[i] == name then
            return flat[i + 1]
        end
    end
end

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if redis.call('EXISTS', KEYS[1]) == 0 then
    return { now_ms }
end

local info = redis.call('XINFO', 'STREAM', KEYS[1])
local first = field(info, 'first-entry')
local oldest_id = first and first[1] or ''
local stream = { field(info, 'length'), field(info, 'entries-added'), field(info, 'last-generated-id'), oldest_id }

for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if field(group, 'name') == ARGV[1] then
        local oldest = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)[1] or { '', '', 0 }
        local lag = field(group, 'lag') or -1
        local delivered = field(group, 'last-delivered-id')
        return { now_ms, stream, { delivered, lag, field(group, 'pending'), oldest[1], oldest[3] } }
    end
end
return { now_ms, stream }
