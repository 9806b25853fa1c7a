/**
 * Token Status List (draft-ietf-oauth-status-list): whether a JWT that verified was invalidated or suspended since. Its
 * claim `status` names a list and an index; the list is fetched when the first such token comes, from an origin that was
 * agreed on, and asked on every request, past every cache. It is kept for the `ttl` it names, renewed in the background
 * before that, and never used longer: what nobody knows is a 503, unless the settings say otherwise.
 *
 * Does NOT require that a token has a `status`: not every token is on a list (§6.1). Does NOT ask about opaque tokens,
 * of which introspection says itself whether they are active.
 */
import { andThen, isPromise } from '../base/awaitable.js'
import { type CacheStats, createTimedCache, digestKey } from '../base/cache.js'
import { isAskedAsWritten } from '../base/place.js'
import { reach } from '../base/reach.js'
import { type Watched, watch } from '../documents/document.js'
import { InvalidToken, Misconfigured, Outage, Unavailable } from '../errors/errors.js'
import type { Http } from '../http/exchange.js'
import type { Issuer } from '../issuer/issuer.js'
import type { StatusListSettings } from '../issuer/status-list-settings.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable } from '../types.js'
import {
  MAX_IAT_AHEAD,
  readStatusListToken,
  STATUS_LIST_TOKEN,
  type StatusList,
  type StatusListTokenMeans
} from './status-list-token.js'

const MAX_LISTS = 1000
const MAX_LISTS_PER_ISSUER = 100
const MAX_BYTES = 64 * 1024 * 1024
/** What lists of one issuer may hold, where there is not room for all: beyond that they make room for the others'. */
const SHARE = MAX_BYTES / 4
/** Lists of one issuer that are fetched at once. */
const MAX_FETCHES = 16
/** What is kept about a list, beside it. */
const ENTRY_OVERHEAD = 4096
/** Lists whose latest `iat` is remembered, also when the list itself had to make room. */
const MAX_LATEST = 10_000
/** Seconds for which it is remembered after the list was last fetched, here and in the shared store. */
const LATEST_FOR = 31 * 24 * 3600

/** §7.1. All others are refused: INVALID, SUSPENDED, and what an application may have agreed on. */
const VALID = 0

/** How full the memory of status lists is. */
export interface StatusListStats extends CacheStats {
  /** Lists that could not be had when they were asked for last. */
  readonly failing: number
}

export interface StatusLists {
  /**
   * Looks up the status of a token that verified. Synchronous while its list is known.
   *
   * @param status  the token's claim
   * @param issuer  whose token it is, with the option `statusList`
   * @throws {InvalidToken} not VALID, not on the list, or a claim that refers to none
   * @throws {Unavailable} the list cannot be had, unless that is an outage and `onUnavailable` is 'allow'
   * @throws {Misconfigured} the list is at another origin, or is not what it should be
   */
  require(status: unknown, issuer: Issuer): Awaitable<void>
  stats(): StatusListStats
}

export interface StatusListMeans extends StatusListTokenMeans {
  readonly http: Http
  /** Where the latest `iat` of each list is kept for other processes, and for this one after a restart. */
  readonly shared: Shared | undefined
}

/** §6.2. */
interface Reference {
  readonly idx: number
  readonly uri: string
}

interface Entry {
  readonly uri: string
  readonly list: Watched<StatusList>
  readonly of: Lists
  bytes: number
  /** Higher than that of every entry that was used less recently. */
  used: number
}

/** Those of one issuer. */
interface Lists {
  readonly byUri: Map<string, Entry>
  bytes: number
  fetching: number
}

export function createStatusLists(means: StatusListMeans): StatusLists {
  const { http, now, shared, clockTolerance } = means
  const latest = createTimedCache<number>(MAX_LATEST)
  const latestOfAll = shared?.cache('status-list')
  const issuers = new WeakMap<Issuer, Lists>()
  const entries = new Set<Entry>()
  let bytes = 0
  let uses = 0

  const setBytes = (entry: Entry, weight: number): void => {
    bytes += weight - entry.bytes
    entry.of.bytes += weight - entry.bytes
    entry.bytes = weight
  }

  const forget = (entry: Entry): void => {
    entries.delete(entry)
    entry.of.byUri.delete(entry.uri)
    setBytes(entry, 0)
  }

  const weigh = (entry: Entry, list: number): void => {
    setBytes(entry, ENTRY_OVERHEAD + 2 * entry.uri.length + list)
    while (entries.size > 1 && (entries.size > MAX_LISTS || bytes > MAX_BYTES)) {
      const beyond = [...entries].filter((one) => one.of.bytes > SHARE)
      forget(leastUsed(beyond.length > 0 ? beyond : entries))
    }
  }

  /** The latest `iat` that any process has seen; in one that came over the store, no time that has yet to come. */
  const latestIssued = async (uri: string, issuer: string): Promise<number> => {
    const known = latest.get(digestKey(issuer, uri), now()) ?? Number.NEGATIVE_INFINITY
    const told = Number((await latestOfAll?.get([issuer, uri])) ?? Number.NaN)
    return told <= now() + Math.max(MAX_IAT_AHEAD, clockTolerance) ? Math.max(known, told) : known
  }

  /** @throws {Unavailable} signed before one that was known already: what was revoked since would come back to life */
  const requireNewest = async (uri: string, { issuedAt }: StatusList, issuer: string): Promise<void> => {
    if (issuedAt < (await latestIssued(uri, issuer)))
      throw new Unavailable('status_list', `${new URL(uri).host} served an older list than before`)
    latest.set(digestKey(issuer, uri), issuedAt, now(), now() + LATEST_FOR)
    // Nobody waits for it: the store says in `health()` what is wrong with it.
    void latestOfAll?.set([issuer, uri], String(issuedAt), LATEST_FOR)
  }

  /** The URI stays the list's name: `sub` of what is fetched is compared with it. */
  const fetchList = async (uri: string, issuer: Issuer, lists: Lists, again: boolean): Promise<StatusList> => {
    if (lists.fetching >= MAX_FETCHES)
      throw new Unavailable('status_list', 'too many status lists are being fetched', { retryAfter: 1 })
    lists.fetching++
    try {
      const askedAt = now()
      const { status, contentType, body } = await http({
        url: reach(uri, issuer.settings),
        method: 'GET',
        headers: { accept: STATUS_LIST_TOKEN, ...(again && { 'cache-control': 'no-cache' }) },
        dependency: 'status_list'
      })
      const { host } = new URL(uri)
      if (status < 200 || status > 299)
        throw new Unavailable('status_list', `${host} answered ${status} for a status list`)
      if (contentType !== STATUS_LIST_TOKEN)
        throw new Unavailable(
          'status_list',
          `${host} answered with ${contentType || 'no content type'} instead of ${STATUS_LIST_TOKEN}`
        )
      return await readStatusListToken(body, uri, askedAt, issuer, means)
    } finally {
      lists.fetching--
    }
  }

  const create = (uri: string, issuer: Issuer): Entry => {
    requireOrigin(uri, issuer)
    const lists = issuers.get(issuer) ?? { byUri: new Map(), bytes: 0, fetching: 0 }
    issuers.set(issuer, lists)
    const { byUri } = lists
    if (byUri.size >= MAX_LISTS_PER_ISSUER) forget(leastUsed(byUri.values()))
    const list = watch<StatusList>({
      load: async (again) => {
        const fetched = await fetchList(uri, issuer, lists, again)
        await requireNewest(uri, fetched, issuer.settings.issuer)
        return { document: fetched }
      },
      accept: ({ bytes: size }) => {
        if (entries.has(entry)) weigh(entry, size)
      },
      now,
      staleFor: 0
    })
    const entry: Entry = { uri, list, of: lists, bytes: 0, used: ++uses }
    entries.add(entry)
    byUri.set(uri, entry)
    weigh(entry, 0)
    return entry
  }

  /** Whether the list may still be used: in its time, and signed by keys that are all there still. */
  const isUsable = ({ fetchedAt, keySetVersion }: StatusList, until: number, issuer: Issuer): boolean => {
    const time = now()
    return fetchedAt <= time && time < until && keySetVersion === issuer.keySetVersion()
  }

  /** A list that ends before the index may have grown since, and one signed by keys that are gone is worth nothing. */
  const obtain = ({ list }: Entry, idx: number, issuer: Issuer): Awaitable<StatusList> =>
    andThen(list.source(), (known) =>
      known.statusOf(idx) !== undefined && isUsable(known, known.freshUntil, issuer) ? known : list.source(known)
    )

  const resolve = (entry: Entry, idx: number, issuer: Issuer): Awaitable<void> => {
    const judge = (list: StatusList): void => {
      if (!isUsable(list, list.freshUntil, issuer))
        throw new Unavailable(
          'status_list',
          `the status list at ${new URL(entry.uri).host} has expired, and a new one was not fetched yet`
        )
      requireValid(list.statusOf(idx))
    }
    const unknown = (error: unknown): void => {
      const { onUnavailable } = issuer.settings.statusList as StatusListSettings
      // A bound of ours, which anybody with many tokens can reach, and an answer that is no list are no outage of its server.
      if (!(error instanceof Outage) || onUnavailable !== 'allow') throw error
      // What was revoked when it could still be asked does not come back for an outage.
      requireValid(entry.list.held()?.statusOf(idx) ?? VALID)
      const { host } = new URL(entry.uri)
      issuer.warn(
        `tokens were let in whose status list at ${host} cannot be had (\`statusList.onUnavailable: 'allow'\`)`
      )
    }
    try {
      const list = obtain(entry, idx, issuer)
      return isPromise(list) ? list.then(judge).catch(unknown) : judge(list)
    } catch (error) {
      unknown(error)
    }
  }

  return {
    require: (status, issuer) => {
      const { idx, uri } = readReference(status)
      const entry = issuers.get(issuer)?.byUri.get(uri) ?? create(uri, issuer)
      entry.used = ++uses
      const list = entry.list.held()
      const known = list !== undefined && isUsable(list, list.refreshAt, issuer) ? list.statusOf(idx) : undefined
      return known === undefined ? resolve(entry, idx, issuer) : requireValid(known)
    },
    stats: () => ({
      entries: entries.size,
      maxEntries: MAX_LISTS,
      bytes,
      maxBytes: MAX_BYTES,
      failing: [...entries].filter(({ list }) => list.error() !== undefined).length
    })
  }
}

/** @throws {InvalidToken} */
function readReference(status: unknown): Reference {
  const reference = (status as { readonly status_list?: Partial<Reference> | null } | null)?.status_list
  if (!Number.isSafeInteger(reference?.idx) || (reference?.idx as number) < 0 || typeof reference?.uri !== 'string')
    throw new InvalidToken('claim', {
      expected: 'status.status_list: an object with idx, a whole number from 0, and uri',
      received: status
    })
  return reference as Reference
}

/** Before anything is fetched: an issuer that is taken over must not send us wherever it likes. */
function requireOrigin(uri: string, { settings }: Issuer): void {
  if (!URL.canParse(uri)) throw new InvalidToken('claim', { expected: 'status.status_list.uri: a URL', received: uri })
  const { origins } = settings.statusList as StatusListSettings
  const { origin } = new URL(uri)
  if (!origins.has(origin))
    throw new Misconfigured(
      `a token of ${settings.label} names a status list at another origin than ${[...origins].join(', ')}: if the issuer’s lists are at another origin, add that origin to \`statusList.origins\``
    )
  if (!isAskedAsWritten(uri))
    throw new InvalidToken('claim', {
      expected: 'status.status_list.uri: a URL whose path is asked as it is written',
      received: uri
    })
}

/** @throws {InvalidToken} */
function requireValid(status: number | undefined): void {
  if (status !== VALID)
    throw new InvalidToken('status', { expected: 'status 0 (VALID)', received: status ?? 'an index beyond the list' })
}

function leastUsed(entries: Iterable<Entry>): Entry {
  let least: Entry | undefined
  for (const entry of entries) if (least === undefined || entry.used < least.used) least = entry
  return least as Entry
}
