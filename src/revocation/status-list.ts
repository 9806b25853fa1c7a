/**
 * Token Status List (draft-ietf-oauth-status-list): whether a verified JWT was invalidated or suspended since it was
 * issued. The token's claim `status` names a list and an index. The list is fetched for the first such token, only from
 * a configured origin, and every request checks it, after all caches. A list is kept for its `ttl`, refreshed in the
 * background before that ends, and never used longer. An unknown status is a 503, unless the settings allow the
 * request.
 *
 * Does NOT require a `status`: not every token is on a list (§6.1). Does NOT check opaque tokens: their introspection
 * already says whether they are active.
 *
 * Tests: `test/rfc/status-list.test.ts`.
 */
import { andThen, isPromise } from '../base/awaitable.js'
import { type CacheStats, createTimedCache, digestKey } from '../base/cache.js'
import { isAskedAsWritten } from '../base/place.js'
import { reach } from '../base/reach.js'
import { type Watched, watch } from '../documents/document.js'
import { InvalidToken, Misconfigured, Unavailable } from '../errors/errors.js'
import type { Http } from '../http/exchange.js'
import type { Issuer } from '../issuer/issuer.js'
import type { StatusListSettings } from '../issuer/status-list-settings.js'
import { MAX_IAT_AHEAD } from '../jwt/claims.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable } from '../types.js'
import {
  readStatusListToken,
  STATUS_LIST_TOKEN,
  type StatusList,
  type StatusListTokenMeans
} from './status-list-token.js'

/** Maximum lists of all issuers. */
const MAX_LISTS = 1000
/** Maximum lists of one issuer. */
const MAX_LISTS_PER_ISSUER = 100
/** Maximum bytes of all lists. */
const MAX_BYTES = 64 * 1024 * 1024
/** Bytes: when there is no room for all lists, lists of issuers that use more than this are evicted first. */
const SHARE = MAX_BYTES / 4
/** Maximum concurrent fetches of one issuer's lists. */
const MAX_FETCHES = 16
/** Bytes of bookkeeping for a list, beside the list and its URI. */
const ENTRY_OVERHEAD = 4096
/** Maximum lists whose latest `iat` is remembered, including evicted lists. */
const MAX_LATEST = 10_000
/** Seconds that a list's latest `iat` is remembered after its last fetch, here and in the shared store. */
const LATEST_FOR = 31 * 24 * 3600

/** §7.1. Every other status is refused: INVALID, SUSPENDED, and application-specific ones. */
const VALID = 0

/** How full the memory of status lists is. */
export interface StatusListStats extends CacheStats {
  /** Lists whose last fetch failed. */
  readonly failing: number
}

export interface StatusLists {
  /**
   * Looks up the status of a verified token. Synchronous while its list is cached.
   *
   * @param status  the token's claim
   * @param issuer  the token's issuer, configured with the option `statusList`
   * @throws {InvalidToken} the status is not VALID, the index is beyond the list, or the claim names no list
   * @throws {Unavailable} the list cannot be fetched, unless that is an outage and `onUnavailable` is 'allow'
   * @throws {Misconfigured} the list is at another origin, or is invalid
   */
  require(status: unknown, issuer: Issuer): Awaitable<void>
  stats(): StatusListStats
}

export interface StatusListMeans extends StatusListTokenMeans {
  readonly http: Http
  /** Keeps the latest `iat` of each list for other processes, and for this process after a restart. */
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

/** The lists of one issuer. */
interface Lists {
  readonly byUri: Map<string, Entry>
  bytes: number
  fetching: number
}

/** Creates an empty memory of status lists. */
export function createStatusLists(means: StatusListMeans): StatusLists {
  return new CachedStatusLists(means)
}

class CachedStatusLists implements StatusLists {
  private readonly means: StatusListMeans
  private readonly history: History
  private readonly issuers = new WeakMap<Issuer, Lists>()
  private readonly entries = new Set<Entry>()
  private bytes = 0
  private uses = 0

  constructor(means: StatusListMeans) {
    this.means = means
    this.history = new History(means)
  }

  require(status: unknown, issuer: Issuer): Awaitable<void> {
    const { idx, uri } = readReference(status)
    const entry = this.issuers.get(issuer)?.byUri.get(uri) ?? this.create(uri, issuer)
    entry.used = ++this.uses
    const list = entry.list.held()
    const known = list !== undefined && this.isUsable(list, list.refreshAt, issuer) ? list.statusOf(idx) : undefined
    return known === undefined ? this.resolve(entry, idx, issuer) : requireValid(known)
  }

  stats(): StatusListStats {
    return {
      entries: this.entries.size,
      maxEntries: MAX_LISTS,
      bytes: this.bytes,
      maxBytes: MAX_BYTES,
      failing: [...this.entries].filter(({ list }) => list.error() !== undefined).length
    }
  }

  /** True until the given time, unless a key has left the issuer's key set since the list was verified. */
  private isUsable({ fetchedAt, keySetVersion }: StatusList, until: number, issuer: Issuer): boolean {
    const time = this.means.now()
    return fetchedAt <= time && time < until && keySetVersion === issuer.keySetVersion()
  }

  private resolve(entry: Entry, idx: number, issuer: Issuer): Awaitable<void> {
    const judge = (list: StatusList): void => this.judge(list, entry, idx, issuer)
    const allow = (error: unknown): void => allowOutage(error, entry, idx, issuer)
    try {
      const list = this.obtain(entry, idx, issuer)
      return isPromise(list) ? list.then(judge).catch(allow) : judge(list)
    } catch (error) {
      allow(error)
    }
  }

  /** Fetches again if the list ends before the index, because it may have grown, or if a key has left the key set. */
  private obtain({ list }: Entry, idx: number, issuer: Issuer): Awaitable<StatusList> {
    return andThen(list.source(), (known) =>
      known.statusOf(idx) !== undefined && this.isUsable(known, known.freshUntil, issuer) ? known : list.source(known)
    )
  }

  /** @throws {InvalidToken | Unavailable} */
  private judge(list: StatusList, { uri }: Entry, idx: number, issuer: Issuer): void {
    if (!this.isUsable(list, list.freshUntil, issuer))
      throw new Unavailable(
        'status_list',
        `the status list at ${new URL(uri).host} has expired, and no newer one could be fetched yet`
      )
    requireValid(list.statusOf(idx))
  }

  private create(uri: string, issuer: Issuer): Entry {
    requireOrigin(uri, issuer)
    const lists = this.issuers.get(issuer) ?? { byUri: new Map(), bytes: 0, fetching: 0 }
    this.issuers.set(issuer, lists)
    if (lists.byUri.size >= MAX_LISTS_PER_ISSUER) this.forget(leastUsed(lists.byUri.values()))
    const list = watch<StatusList>({
      load: async (again) => ({ document: await this.load(uri, issuer, lists, again) }),
      accept: ({ bytes }) => {
        if (this.entries.has(entry)) this.weigh(entry, bytes)
      },
      now: this.means.now,
      staleFor: 0
    })
    const entry: Entry = { uri, list, of: lists, bytes: 0, used: ++this.uses }
    this.entries.add(entry)
    lists.byUri.set(uri, entry)
    this.weigh(entry, 0)
    return entry
  }

  private async load(uri: string, issuer: Issuer, lists: Lists, again: boolean): Promise<StatusList> {
    if (lists.fetching >= MAX_FETCHES)
      throw new Unavailable('status_list', 'too many status lists are being fetched', { retryAfter: 1 })
    lists.fetching++
    let fetched: StatusList
    try {
      fetched = await fetchList(uri, issuer, again, this.means)
    } finally {
      lists.fetching--
    }
    await this.history.requireNewest(uri, fetched, issuer.settings.issuer)
    return fetched
  }

  /** Counts the bytes of an entry, and evicts entries while there is no room. @param list bytes of the list */
  private weigh(entry: Entry, list: number): void {
    this.setBytes(entry, ENTRY_OVERHEAD + 2 * entry.uri.length + list)
    while (this.entries.size > 1 && (this.entries.size > MAX_LISTS || this.bytes > MAX_BYTES)) {
      const beyond = [...this.entries].filter((one) => one.of.bytes > SHARE)
      this.forget(leastUsed(beyond.length > 0 ? beyond : this.entries))
    }
  }

  private forget(entry: Entry): void {
    this.entries.delete(entry)
    entry.of.byUri.delete(entry.uri)
    this.setBytes(entry, 0)
  }

  private setBytes(entry: Entry, bytes: number): void {
    this.bytes += bytes - entry.bytes
    entry.of.bytes += bytes - entry.bytes
    entry.bytes = bytes
  }
}

/** Remembers the latest `iat` of each list, so that an attacker cannot replay an older list without recent revocations. */
class History {
  private readonly now: () => number
  private readonly clockTolerance: number
  private readonly latest = createTimedCache<number>(MAX_LATEST)
  private readonly latestOfAll: ReturnType<Shared['cache']> | undefined

  constructor({ now, clockTolerance, shared }: StatusListMeans) {
    this.now = now
    this.clockTolerance = clockTolerance
    this.latestOfAll = shared?.cache('status-list')
  }

  /** @throws {Unavailable} a list with a later `iat` was seen before: the older list may lack recent revocations */
  async requireNewest(uri: string, { issuedAt }: StatusList, issuer: string): Promise<void> {
    const { now, latest, latestOfAll } = this
    if (issuedAt < (await this.latestIssued(uri, issuer)))
      throw new Unavailable('status_list', `${new URL(uri).host} served an older list than before`)
    latest.set(digestKey(issuer, uri), issuedAt, now(), now() + LATEST_FOR)
    // Not awaited: no request depends on this write, and `health()` reports failures of the store.
    void latestOfAll?.set([issuer, uri], String(issuedAt), LATEST_FOR)
  }

  /** The latest `iat` that any process has seen. A time in the future from the shared store is ignored. */
  private async latestIssued(uri: string, issuer: string): Promise<number> {
    const { now, latest, latestOfAll, clockTolerance } = this
    const known = latest.get(digestKey(issuer, uri), now()) ?? Number.NEGATIVE_INFINITY
    const told = Number((await latestOfAll?.get([issuer, uri])) ?? Number.NaN)
    return told <= now() + Math.max(MAX_IAT_AHEAD, clockTolerance) ? Math.max(known, told) : known
  }
}

/** The fetched token's `sub` is compared with `uri`, even when the settings route the request to another address. */
async function fetchList(uri: string, issuer: Issuer, again: boolean, means: StatusListMeans): Promise<StatusList> {
  const askedAt = means.now()
  const { status, contentType, body } = await means.http({
    url: reach(uri, issuer.settings),
    method: 'GET',
    headers: { accept: STATUS_LIST_TOKEN, ...(again && { 'cache-control': 'no-cache' }) },
    dependency: 'status_list'
  })
  const { host } = new URL(uri)
  if (status < 200 || status > 299) throw new Unavailable('status_list', `${host} answered ${status} for a status list`)
  if (contentType !== STATUS_LIST_TOKEN)
    throw new Unavailable(
      'status_list',
      `${host} answered with ${contentType || 'no content type'} instead of ${STATUS_LIST_TOKEN}`
    )
  return await readStatusListToken({ text: body, uri, askedAt, issuer }, means)
}

/**
 * Accepts the token during an outage if `onUnavailable` is 'allow', unless the last known list says that it is not
 * VALID.
 *
 * @throws the error itself, if the token is not accepted
 * @throws {InvalidToken}
 */
function allowOutage(error: unknown, { uri, list }: Entry, idx: number, issuer: Issuer): void {
  const { onUnavailable } = issuer.settings.statusList as StatusListSettings
  // Only a real outage qualifies, not our own limits or an invalid list.
  const isOutage = error instanceof Unavailable && error.failureKind !== 'other'
  if (!isOutage || onUnavailable !== 'allow') throw error
  // A token that the last known list revokes stays revoked during an outage.
  requireValid(list.held()?.statusOf(idx) ?? VALID)
  const { host } = new URL(uri)
  issuer.warn(
    `tokens were accepted although their status list at ${host} is unavailable (\`statusList.onUnavailable: 'allow'\`)`
  )
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

/**
 * Runs before any fetch: a compromised issuer must not make this server send requests to any address it likes.
 *
 * @throws {InvalidToken | Misconfigured}
 */
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
      expected: 'status.status_list.uri: a URL that is requested exactly as it is written',
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
