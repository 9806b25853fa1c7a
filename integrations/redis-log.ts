/**
 * A durable {@link Log} in a Redis or Valkey Stream, over your own client: ioredis, iovalkey or node-redis, single, cluster or
 * sentinel. A log is one key, so a cluster keeps it in one slot. Every call is one script, in one round trip.
 *
 * Entries are dropped by their position, never by their number (`MINID`, not `MAXLEN`): a burst of entries must not push out
 * entries that are still needed. A full log refuses.
 *
 * Does NOT make Redis durable: `appendonly yes` does, and `appendfsync always` or a replica decides what a crash may lose. Does
 * NOT encrypt: its input is already encrypted. Does NOT open, configure or close a connection.
 *
 * Tests: `test/redis/log.test.ts`.
 */
import { requireOptions } from '../src/base/options/spelling.js'
import type { Log, LogAppending, LogEntry, LogPage, LogReading } from '../src/index.js'
import {
  asText,
  createScript,
  messageOf,
  type RedisClient,
  type RedisSubscriber,
  runScriptOf,
  type Script,
  type Subscribe,
  subscribeOf
} from './redis-clients.js'

/** Options of `redisLog()`. */
export interface RedisLogOptions {
  /** Prefix of every key and channel. Default `oauth-rs:`. */
  readonly prefix?: string
  /** Maximum entries of one log, at least 10. Default 200,000: about 60 MiB of Redis memory with entries of 250 bytes. */
  readonly maxEntries?: number
  /** A separate connection, `client.duplicate()`, that learns of each new entry at once. Default: readers look once a second. */
  readonly subscriber?: RedisSubscriber
}

/** Maximum entries of a page. */
const MAX_LIMIT = 1000
/** Maximum bytes of an entry's value. */
const MAX_VALUE = 65_536
/** An entry's id in a stream: milliseconds since the epoch, and a sequence number. */
const POSITION = /^\d{1,20}-\d{1,20}$/

/**
 * ARGV: value, milliseconds to keep, maximum entries, `dropTo` or '', channel. Returns the new position, or `FULL`.
 *
 * The field `v` of an entry is its value. The field `n` is the first entry after those that appends dropped (`=` is the entry
 * itself). Each entry repeats it, so a reader can tell dropped entries from entries that another program removed.
 * Only an entry that the stream holds can be dropped: a position of a server that was lost must not drop newer entries.
 *
 * `XTRIM` comes first, so Redis does not deny the `XADD` when it has reached `maxmemory`: `maxEntries` bounds the log.
 */
const APPEND = createScript(`
local key, value, room, dropTo = KEYS[1], ARGV[1], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local expired = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[2]
if expired > 0 then redis.call('XTRIM', key, 'MINID', string.format('%.0f', expired)) end
if redis.call('XLEN', key) + 1 > room then return 'FULL' end
local start = nil
local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
if last and last[2][3] == 'n' then start = last[2][4] end
if start == '=' then start = last[1] end
local drops = dropTo ~= '' and #redis.call('XRANGE', key, dropTo, dropTo) == 1
if drops then
  local following = redis.call('XRANGE', key, '(' .. dropTo, '+', 'COUNT', 1)[1]
  start = following and following[1] or '='
end
local id
if start then id = redis.call('XADD', key, '*', 'v', value, 'n', start)
else id = redis.call('XADD', key, '*', 'v', value) end
if drops then redis.call('XTRIM', key, 'MINID', start == '=' and id or start) end
redis.pcall('PUBLISH', ARGV[5], '')
return id
`)

/**
 * ARGV: `after` or '', `first` or '', limit. Writes nothing. An entry of another program has an empty value: its reader skips it. Returns what the stream is, and the positions and values of the
 * page. `INFO` may be forbidden; the run of the server is unknown then.
 */
const READ = createScript(`
local key, after, first = KEYS[1], ARGV[1], ARGV[2]
local info = redis.pcall('XINFO', 'STREAM', key)
local stream = { ['length'] = 0, ['last-generated-id'] = '0-0' }
if info.err then
  if not string.find(info.err, 'no such key', 1, true) then return info end
else
  for i = 1, #info, 2 do stream[info[i]] = info[i + 1] end
end
local server = redis.pcall('INFO', 'server')
local run = type(server) == 'string' and string.match(server, 'run_id:(%x+)') or ''
local start, last = '', stream['last-entry']
if last and last[2][3] == 'n' then start = last[2][4] end
if start == '=' then start = last[1] end
local function holds(id)
  if id == '' then return '0' end
  return tostring(#redis.call('XRANGE', key, id, id))
end
local entries = {}
for _, entry in ipairs(redis.call('XRANGE', key, after == '' and '-' or '(' .. after, '+', 'COUNT', ARGV[3])) do
  table.insert(entries, entry[1])
  table.insert(entries, entry[2][1] == 'v' and entry[2][2] or '')
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local oldest = stream['first-entry'] and stream['first-entry'][1] or ''
local length = string.format('%.0f', stream['length'])
return { { run, stream['last-generated-id'], oldest, length, now, holds(first), start, holds(start) }, entries }
`)

/**
 * Creates a log for the option `shared`. Needs Redis 6.2 or later, or Valkey, and a client that runs scripts. The key of a log is
 * `prefix` and its name; its channel for `wake` is that key and `:wake`.
 *
 * A user with an ACL needs these rights (without `info` a restart of the server goes unnoticed, without `publish` readers look
 * once a second): `~oauth-rs:* &oauth-rs:* +eval +evalsha +xadd +xtrim +xlen +xrange +xrevrange +xinfo|stream +time +info
 * +publish`, and the user of `subscriber` `&oauth-rs:* +subscribe +unsubscribe`.
 *
 * `append` throws an error named `LogFull` if the log has no room. Every other error is an outage.
 *
 * @param client your client. With node-redis listen to its `error` event: without a listener it ends the process
 * @throws {TypeError} at once, for a value that is not such a client, or an option that is wrong
 */
export function redisLog(client: RedisClient, options: RedisLogOptions = {}): Log {
  requireOptions('redisLog()', options, { prefix: 'oauth-rs:', maxEntries: 200_000, subscriber: {} })
  const { prefix = 'oauth-rs:', maxEntries = 200_000, subscriber } = options
  if (!Number.isInteger(maxEntries) || maxEntries < 10)
    throw new TypeError(`redisLog(): maxEntries must be an integer of at least 10, not ${maxEntries}`)
  const send = runScriptOf(client)
  if (send === undefined)
    throw new TypeError(
      'redisLog() needs a client of ioredis, iovalkey or node-redis (version 4 or later) with commands for scripts'
    )
  const run = async (script: Script, key: string, values: string[]): Promise<unknown> => {
    try {
      return await send(script, [key], values)
    } catch (error) {
      throw explained(error, prefix)
    }
  }
  const log: Log = {
    append: async (name, value, how) => {
      const key = prefix + nameOf(name)
      const { room, keep, dropTo } = appendingOf(value, how, maxEntries)
      const answer = asText(await run(APPEND, key, [value, keep, room, dropTo, `${key}:wake`]))
      if (answer === 'FULL') throw logFull(key, maxEntries)
      if (answer === undefined || !POSITION.test(answer)) throw unexpected('append', answer)
      return answer
    },
    read: async (name, how) => {
      const { after, first, limit } = readingOf(how)
      return pageOf(await run(READ, prefix + nameOf(name), [after, first, limit]), how)
    }
  }
  if (subscriber === undefined) return Object.freeze(log)
  // A value that is not a subscriber must fail now.
  subscribeOf('redisLog()', subscriber, prefix)
  return Object.freeze({ ...log, wake: wakeOf(subscriber, prefix) })
}

/**
 * The listeners of one log share a subscription: in ioredis, ending one would otherwise end the others. The map holds only
 * subscriptions with listeners.
 */
function wakeOf(subscriber: RedisSubscriber, prefix: string): NonNullable<Log['wake']> {
  const shared = new Map<string, { readonly subscribe: Subscribe; listeners: number }>()
  return async (name, listener) => {
    const channel = `${prefix}${nameOf(name)}:wake`
    const one = shared.get(channel) ?? { subscribe: subscribeOf('redisLog()', subscriber, channel), listeners: 0 }
    shared.set(channel, one)
    one.listeners++
    const leave = (): void => {
      one.listeners--
      if (one.listeners === 0) shared.delete(channel)
    }
    try {
      const end = await one.subscribe(() => listener())
      let hasEnded = false
      return () => {
        if (!hasEnded) leave()
        hasEnded = true
        return end()
      }
    } catch (error) {
      leave()
      throw error
    }
  }
}

function nameOf(name: string): string {
  if (!/^[ -~]{1,128}$/.test(name)) throw new TypeError('a log needs a name of 1 to 128 characters of printable ASCII')
  return name
}

function appendingOf(
  value: string,
  { keep, reserve, dropTo = '' }: LogAppending,
  maxEntries: number
): { readonly keep: string; readonly room: string; readonly dropTo: string } {
  if (typeof value !== 'string' || Buffer.byteLength(value) > MAX_VALUE)
    throw new TypeError(`append: a value must be text of at most ${MAX_VALUE} bytes`)
  if (!(reserve >= 0 && reserve < 1))
    throw new TypeError(`append: reserve must be 0 or more and less than 1, not ${reserve}`)
  // Without the small number, 10 × (1 - 0.9) would be less than 1.
  const room = Math.floor(maxEntries * (1 - reserve) + 1e-6)
  return { keep: millisecondsOf('append', keep), room: String(room), dropTo: positionOf('dropTo', dropTo) }
}

function readingOf({ after = '', first = '', limit }: LogReading): {
  readonly after: string
  readonly first: string
  readonly limit: string
} {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new TypeError(`read: limit must be an integer from 1 to ${MAX_LIMIT}, not ${limit}`)
  return { after: positionOf('after', after), first: positionOf('first', first), limit: String(limit) }
}

/** A position, or '' for none. */
function positionOf(option: string, position: string): string {
  if (position === '' || POSITION.test(position)) return position
  throw new TypeError(`${option} must be a position that this log gave, such as 1700000000000-0`)
}

function millisecondsOf(caller: string, keep: number): string {
  if (!(keep >= 0 && keep <= Number.MAX_SAFE_INTEGER / 1000))
    throw new TypeError(`${caller}: keep must be a number of seconds, not ${keep}`)
  return String(Math.ceil(keep * 1000))
}

/** Reads the answer of the script READ. @throws if it is not such an answer */
function pageOf(answer: unknown, { after, first, keep }: LogReading): LogPage {
  const [state, texts] = (Array.isArray(answer) ? answer : []).map(textsOf)
  const [incarnation, last = '', oldest = '', length, now, isFirstHeld, start = '', isStartHeld] = state ?? []
  const isStrange =
    incarnation === undefined ||
    texts === undefined ||
    texts.length % 2 !== 0 ||
    ![last, oldest || last, start || last].every((one) => POSITION.test(one)) ||
    ![length, now].every((one) => /^\d{1,16}$/.test(one ?? '')) ||
    ![isFirstHeld, isStartHeld].every((one) => one === '0' || one === '1')
  if (isStrange) throw unexpected('read', answer)
  const isOld = (position: string): boolean =>
    Number(position.split('-')[0]) < Number(now) - Number(millisecondsOf('read', keep))
  const isExplained = (gone: string): boolean =>
    isOld(gone) || (start !== '' && isBefore(gone, start) && (isStartHeld === '1' || isOld(start)))
  return {
    entries: entriesOf(texts),
    first: oldest || undefined,
    length: Number(length),
    isWhole:
      !(after !== undefined && isBefore(last, after)) &&
      (first === undefined || isFirstHeld === '1' || isExplained(first)),
    incarnation
  }
}

function textsOf(list: unknown): readonly string[] | undefined {
  if (!Array.isArray(list)) return undefined
  const texts = list.map(asText)
  return texts.every((text) => text !== undefined) ? texts : undefined
}

function entriesOf(texts: readonly string[]): readonly LogEntry[] {
  const entries: LogEntry[] = []
  for (let i = 0; i < texts.length; i += 2) {
    const [position = '', value = ''] = texts.slice(i, i + 2)
    if (!POSITION.test(position)) throw unexpected('read', position)
    entries.push({ position, value })
  }
  return entries
}

function isBefore(one: string, other: string): boolean {
  const [[time = 0n, count = 0n], [otherTime = 0n, otherCount = 0n]] = [one, other].map((position) =>
    position.split('-').map(BigInt)
  ) as [bigint[], bigint[]]
  return time < otherTime || (time === otherTime && count < otherCount)
}

function unexpected(call: string, answer: unknown): Error {
  return new Error(`redisLog(): the client answered the script of \`${call}\` with an unexpected ${typeof answer}`)
}

/** An error of a server that forbids a command, with the rights to add; every other error as it is. */
function explained(error: unknown, prefix: string): unknown {
  const message = messageOf(error)
  if (!/^NOPERM|unknown command|ACL failure|user executing the script/i.test(message)) return error
  const commands = '+eval +evalsha +xadd +xtrim +xlen +xrange +xrevrange +xinfo|stream +time +info +publish'
  return new Error(
    `redisLog() may not run its scripts. Give the user of the client these rights (ACL SETUSER): ~${prefix}* &${prefix}* ${commands}`,
    { cause: error }
  )
}

/** Recognized by its name: importing a class would load the whole verifier. */
function logFull(key: string, maxEntries: number): Error {
  const error = new Error(`the log ${key} has no room: see maxEntries of redisLog(), ${maxEntries}`)
  return Object.assign(error, { name: 'LogFull' })
}
