/**
 * The steps that Redis takes atomically. All keys of one call carry one hash tag, so each runs on one node of a
 * Redis Cluster. Commands used inside need the same rights as from a client: docs/CLUSTER.md has the ACL line.
 *
 *   head    "<epoch> <last stream id>": a new epoch says that what was here is gone (FLUSHALL, an empty restart)
 *   lease   who may write for an instance; its token changes with every connection, so what an old connection
 *           still has under way, or a process that was stopped and wakes, is refused until it has read again
 *   stream  one entry per step: `l` the id of the entry before it, so that a reader notices a hole of any
 *           origin, and `p` lines of "<pin>\t<px>\t<value>", the value empty when the pin was removed
 */
import { createHash } from 'node:crypto';

export interface Script {
  readonly lua: string;
  /** What EVALSHA knows it by. */
  readonly sha: string;
}

function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

const isPoisoned = `
local function poisoned(reply)
  return type(reply) == 'table' and reply.err and string.find(reply.err, 'WRONGTYPE', 1, true)
end
`;

/**
 * What somebody put there by mistake, of a type we do not use or longer than anything we write, is as if it were not there, and
 * goes. Its length is asked for first, as a script takes seconds to get hold of hundreds of megabytes; a user who may not ask
 * pays them once.
 */
const getText = `
${isPoisoned}
local function getShort(key, most)
  local length = redis.pcall('STRLEN', key)
  local value = false
  if type(length) ~= 'number' or length <= most then
    value = redis.pcall('GET', key)
    if not value or type(value) == 'string' and #value <= most then return value end
    if type(value) == 'table' and not poisoned(value) then return redis.call('GET', key) end
  end
  redis.call('DEL', key)
  return false, true
end
local function get(key) return (getShort(key, 1024)) end
`;

const readHead = `
local head = get(KEYS[2])
local epoch, last
if head then epoch, last = string.match(head, '^(%S+) (%d+%-%d+)$') end
`;

/** A head that was lost alone (evicted, deleted) leaves entries that come after all there is: readers would go back for ever. */
const beginAnew = "redis.call('DEL', KEYS[1])";

/**
 * KEYS stream head lease | ARGV token, incarnation, lease ms, epoch if there is none, mode
 * mode renew: only with the token; take: unless another incarnation holds it; seize: in any case
 * -> OK epoch last | FENCED holder
 */
export const pulseScript = script(`
${getText}
local holder = get(KEYS[3])
local mode = ARGV[5]
if mode == 'renew' and holder ~= ARGV[1] then return {'FENCED', holder or ''} end
if mode == 'take' and holder and string.sub(holder, 1, #ARGV[2]) ~= ARGV[2] then return {'FENCED', holder} end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[3])
${readHead}
if not epoch then
  ${beginAnew}
  epoch, last = ARGV[4], '0-0'
  redis.call('SET', KEYS[2], epoch .. ' ' .. last)
end
if poisoned(redis.pcall('XREAD', 'STREAMS', KEYS[1], '$')) then redis.call('DEL', KEYS[1]) end
return {'OK', epoch, last}
`);

/**
 * KEYS stream head lease pin... | ARGV token, epoch if there is none, stream entries kept, writer, length of what
 * comes before a pin's text in its key, steps: for each pin a line of expected backend ('' none, '*' any), new backend
 * ('' removes), px and "reason ttl", with tabs between them. One argument for all: four for each pin cost the sender twice
 * as much as the rest of publishing it.
 * -> OK epoch last added(0|1) verdict... | FENCED holder
 * verdicts: W written, S the same already, D removed, G was gone (and a use alone does not bring it back: whether
 *           somebody removed it is in the stream), F of another version,
 *           "L <pttl> <value>" lost: somebody else's value stands
 */
export const applyScript = script(`
${getText}
local holder = get(KEYS[3])
if holder ~= ARGV[1] then return {'FENCED', holder or ''} end
${readHead}
if not epoch then
  ${beginAnew}
  epoch, last = ARGV[2], '0-0'
end
local writer, cut = ARGV[4], tonumber(ARGV[5]) + 1
local reply = {'OK', epoch, last, '0'}
local news = {}
local nextStep = string.gmatch(ARGV[6], '([^\\t]*)\\t([^\\t]*)\\t([^\\t]*)\\t([^\\n]*)\\n')
for i = 4, #KEYS do
  local key = KEYS[i]
  local expected, backend, px, rest = nextStep()
  local current = redis.pcall('GET', key)
  local version, theirs, generation
  if type(current) == 'string' and #current <= 256 then
    version, theirs, generation = string.match(current, '^(%d+) (%S+) %S+ %S+ %d+ (%d+)$')
    if not version then version = string.match(current, '^(%d+) ') end
  end
  local verdict
  if version and version ~= '1' then
    verdict = 'F'
  elseif backend == '' then
    if not theirs then
      verdict = 'G'
    elseif expected == '*' or expected == theirs then
      redis.call('DEL', key)
      news[#news + 1] = string.sub(key, cut) .. '\\t0\\t'
      verdict = 'D'
    end
  elseif theirs == backend and expected ~= '*' then
    local left = redis.call('PTTL', key)
    if left < 0 or tonumber(px) - left > tonumber(px) / 8 then
      redis.call('PEXPIRE', key, px)
      news[#news + 1] = string.sub(key, cut) .. '\\t' .. px .. '\\t' .. current
    end
    verdict = 'S'
  elseif not current and expected == backend then
    verdict = 'G'
  elseif not theirs or expected == '*' or expected == theirs then
    local value = '1 ' .. backend .. ' ' .. writer .. ' ' .. rest .. ' '
      .. string.format('%.0f', ((tonumber(generation or 0) or 0) + 1) % 2147483648)
    redis.call('SET', key, value, 'PX', px)
    news[#news + 1] = string.sub(key, cut) .. '\\t' .. px .. '\\t' .. value
    verdict = 'W'
  end
  if not verdict then
    verdict = 'L ' .. redis.call('PTTL', key) .. ' ' .. current
  end
  reply[#reply + 1] = verdict
end
if #news > 0 then
  local payload = table.concat(news, '\\n')
  local id = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'l', last, 'p', payload)
  if type(id) == 'table' then
    -- Not a stream, or one with the last of all ids: somebody wrote here by mistake. What we told the pins must be told to
    -- the others.
    if poisoned(id) or string.find(id.err, 'exhausted', 1, true) then redis.call('DEL', KEYS[1]) end
    id = redis.call('XADD', KEYS[1], '*', 'l', last, 'p', payload)
  end
  redis.call('SET', KEYS[2], epoch .. ' ' .. id)
  reply[3], reply[4] = id, '1'
end
return reply
`);

/** KEYS stream head pin... -> epoch ('' if there is none), last, then for each pin "pttl value", or '' if there is none of a fit length. */
export const readScript = script(`
${getText}
${readHead}
local reply = {epoch or '', last or '0-0'}
for i = 3, #KEYS do
  local value = redis.pcall('GET', KEYS[i])
  if type(value) == 'string' and #value <= 256 then
    reply[#reply + 1] = redis.call('PTTL', KEYS[i]) .. ' ' .. value
  else
    reply[#reply + 1] = ''
    if type(value) == 'string' and #value > 1024 then redis.call('DEL', KEYS[i]) end
  end
end
return reply
`);

/**
 * KEYS members layout own-member own-counts | ARGV instance, lease ms, member, counts, prefix, layout, members at most, bytes
 * of a member, of its counts, and of all together at most
 * Says "I am here" and hears who else is. Names whose lease is over are forgotten, and what is longer than anything an
 * instance says is removed. So is a list of names that is too long to be ours: instances add theirs again at their next beat.
 * -> layout, how many were too long, then for each member: instance, member, counts
 */
export const beatScript = script(`
${getText}
local layout = get(KEYS[2])
if not layout then
  layout = ARGV[6]
  redis.call('SET', KEYS[2], layout)
end
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[2])
redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[2])
if poisoned(redis.pcall('SADD', KEYS[1], ARGV[1])) then
  redis.call('DEL', KEYS[1])
  redis.call('SADD', KEYS[1], ARGV[1])
end
local tooLong = 0
local function said(key, most)
  local value, wasRemoved = getShort(key, most)
  if wasRemoved then tooLong = tooLong + 1 end
  return value
end
local names = redis.call('SMEMBERS', KEYS[1])
local membersMax, room = tonumber(ARGV[7]), tonumber(ARGV[10])
if #names > membersMax * 16 then
  tooLong = tooLong + 1
  redis.call('DEL', KEYS[1])
  redis.call('SADD', KEYS[1], ARGV[1])
  names = {ARGV[1]}
end
local reply = {layout, ''}
for _, name in ipairs(names) do
  local member = #name <= 256 and said(ARGV[5] .. 'instance:' .. name, tonumber(ARGV[8]))
  if not member then
    redis.call('SREM', KEYS[1], name)
  elseif #reply < membersMax * 3 + 2 and #member <= room then
    room = room - #member
    local counts = said(ARGV[5] .. 'counts:' .. name, tonumber(ARGV[9])) or ''
    if #counts > room then counts = '' end
    room = room - #counts
    reply[#reply + 1] = name
    reply[#reply + 1] = member
    reply[#reply + 1] = counts
  end
end
reply[2] = tostring(tooLong)
return reply
`);

/**
 * KEYS names word | ARGV name, word, last moment a word may be from, ms to keep it
 * Writes an operator's word down, "<when> <value>", unless a newer one stands; the rule is that of core/operator-word.ts.
 * -> 1 it stands, 0 a newer one does
 */
export const putWordScript = script(`
${getText}
if poisoned(redis.pcall('SADD', KEYS[1], ARGV[1])) then
  redis.call('DEL', KEYS[1])
  redis.call('SADD', KEYS[1], ARGV[1])
end
local function read(word)
  local at, value = string.match(word or '', '^(%d+) ([%l%d-]+)$')
  if at and #word <= 64 and tonumber(at) <= tonumber(ARGV[3]) then return tonumber(at), value end
end
local at, value = read(ARGV[2])
local oldAt, old = read(get(KEYS[2]))
if oldAt and (oldAt > at or oldAt == at and old > value) then return {'0'} end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
return {'1'}
`);

/**
 * KEYS names | ARGV prefix of words, instance, names at most, bytes of the answer at most, ms to keep a word, where to
 * sweep (0 to below 1)
 * What operators have said for this instance or for all. They are kept for as long as somebody reads them: those of an instance
 * that is gone expire, and a few names of others are looked at each time, whether they still have a word. Names without a word, and what is too long to be a word, are removed; so
 * is a list of names that is too long to be ours: instances write theirs again.
 * -> how many were removed, then for each word: name, word
 */
export const wordsScript = script(`
${getText}
local names = redis.pcall('SMEMBERS', KEYS[1])
if poisoned(names) then
  redis.call('DEL', KEYS[1])
  return {'1'}
end
if names.err then return names end
local most, room = tonumber(ARGV[3]), tonumber(ARGV[4])
if #names > most then
  redis.call('DEL', KEYS[1])
  return {'1'}
end
local own = ARGV[2] .. '/'
local reply, removed = {''}, 0
for _, name in ipairs(names) do
  local isFit = #name <= 256
  if isFit and (string.sub(name, 1, 2) == '*/' or string.sub(name, 1, #own) == own) then
    local word, wasRemoved = getShort(ARGV[1] .. name, 64)
    if wasRemoved then removed = removed + 1 end
    room = room - #name - 64
    if not word then
      redis.call('SREM', KEYS[1], name)
    elseif room >= 0 then
      if redis.call('PTTL', ARGV[1] .. name) < ARGV[5] / 2 then redis.call('PEXPIRE', ARGV[1] .. name, ARGV[5]) end
      reply[#reply + 1] = name
      reply[#reply + 1] = word
    end
  elseif not isFit then
    removed = removed + 1
    redis.call('SREM', KEYS[1], name)
  end
end
local first = math.floor(#names * tonumber(ARGV[6]))
for i = first + 1, math.min(#names, first + 16) do
  if #names[i] <= 256 and redis.pcall('STRLEN', ARGV[1] .. names[i]) == 0 then redis.call('SREM', KEYS[1], names[i]) end
end
reply[1] = tostring(removed)
return reply
`);

/**
 * KEYS table of flows | ARGV cursor, count, bytes of a row at most
 * -> next cursor, how many rows were too long and are removed, rows...
 */
export const flowsScript = script(`
${isPoisoned}
local page = redis.pcall('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
if poisoned(page) then return {'0', '1'} end
if page.err then return page end
local reply, tooLong = {page[1], ''}, 0
local pairs = page[2]
for i = 2, #pairs, 2 do
  if #pairs[i] <= tonumber(ARGV[3]) then
    reply[#reply + 1] = pairs[i]
  else
    tooLong = tooLong + 1
    redis.call('HDEL', KEYS[1], pairs[i - 1])
  end
end
reply[2] = tostring(tooLong)
return reply
`);

/**
 * ARGV cursor, pattern, count, bytes of a key at most
 * What SCAN says without keys longer than any of ours, which are removed.
 * -> next cursor, how many keys were too long, keys...
 */
export const keysScript = script(`
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local reply, tooLong = {page[1], ''}, 0
for _, key in ipairs(page[2]) do
  if #key <= tonumber(ARGV[4]) then
    reply[#reply + 1] = key
  else
    tooLong = tooLong + 1
    redis.pcall('DEL', key)
  end
end
reply[2] = tostring(tooLong)
return reply
`);

/**
 * KEYS names, order | ARGV id, order, its life in ms, orders at most, prefix of orders
 * An operator's order to end flows, for as long as others may yet hear of it. Names of those that are over are removed.
 * -> 1, or 0: there are too many already
 */
export const tellKillScript = script(`
${getText}
local names = redis.pcall('SMEMBERS', KEYS[1])
if poisoned(names) then
  redis.call('DEL', KEYS[1])
  names = {}
end
if names.err then return names end
local live, most = 0, tonumber(ARGV[4])
if #names > most * 64 then
  redis.call('DEL', KEYS[1])
  names = {}
end
for _, name in ipairs(names) do
  if #name <= 64 and get(ARGV[5] .. name) then live = live + 1 else redis.call('SREM', KEYS[1], name) end
end
if live >= most then return {'0'} end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return {'1'}
`);

/**
 * KEYS names | ARGV prefix of orders, orders at most
 * Operators' orders to end flows.
 * -> for each: id, ms until it is over, order
 */
export const killsScript = script(`
${getText}
local names = redis.pcall('SMEMBERS', KEYS[1])
if poisoned(names) then
  redis.call('DEL', KEYS[1])
  return {}
end
if names.err then return names end
local reply = {}
for _, name in ipairs(names) do
  if #reply >= 3 * tonumber(ARGV[2]) then break end
  local order = #name <= 64 and get(ARGV[1] .. name)
  if order then
    reply[#reply + 1] = name
    reply[#reply + 1] = tostring(redis.call('PTTL', ARGV[1] .. name))
    reply[#reply + 1] = order
  end
end
return reply
`);
