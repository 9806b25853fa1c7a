/**
 * Remembers which access tokens to refuse although they verify: one token by its `jti`, or every token that was issued
 * before a time to a subject, in a session, to a client or by an issuer. Every request checks it, after all caches. An
 * entry never depends on a token's bytes, because one token can have several texts (RFC 7515 §2).
 *
 * It never evicts a live entry: when it is full, `revoke` throws, and all earlier revocations still hold. Does NOT outlive
 * the process (`revocation-log.ts` does), and does NOT verify the sender of a revocation.
 */
import { MAX_NAME_LENGTH } from '../base/bounds.js'
import type { IssuerSettings } from '../issuer/settings.js'
import type { AccessToken } from '../types.js'
import type { Revocation } from './revocation.js'
import { asRevocation, type Complete, completed, type Name, nameOf, type Terms } from './revocation.js'
import type { RevocationSettings } from './settings.js'

/** How full the memory of revocations is. */
export interface RevocationStats {
  readonly entries: number
  readonly maxEntries: number
  /** Approximate. */
  readonly bytes: number
  readonly maxBytes: number
}

export interface Revocations {
  /**
   * Revokes tokens from now on. A repeated revocation keeps the later `before` and the later `until`, so the order and
   * the number of repetitions do not change the outcome. A default `until` counts only with a later `before`: the same
   * event sent again changes nothing.
   *
   * @param by  the origin; default the operator. Senders of events have less room: no sender can use up the room of the
   *   others, and all senders together leave the operator's reserve free
   * @returns the revocations that changed something, with their defaults filled in
   * @throws {TypeError} a revocation is invalid; then none of the list takes effect
   * @throws {RevocationsFull} no room for one of the list; those before it take effect (`news`), and no entry is lost
   */
  readonly revoke: (revocations: readonly Revocation[], by?: RevokedBy) => readonly Revocation[]
  /** Calls the listener with the revocations that changed something, once they hold. A second listener replaces the first. */
  readonly onNews: (listener: Listener) => void
  /** Checks the revocations under each accepted name of the token's issuer. */
  readonly isRevoked: (accessToken: RevocableToken) => boolean
  /**
   * As `revoke`, for revocations that were read from the log or written to it.
   *
   * @param reading  the reading of the log in which they were found: a later one has a higher number
   */
  readonly revokeLogged: (revocations: readonly Revocation[], by: RevokedBy, reading: number) => void
  /** The live entries that these revocations became, without those that this reading of the log has found. */
  readonly missing: (revocations: readonly Revocation[], reading: number) => readonly OwnedRevocation[]
  /** All live entries but those that this reading of the log has found, in no order; the operator's first. */
  readonly allMissing: (reading: number) => Iterable<OwnedRevocation>
  readonly stats: () => RevocationStats
}

/** A revocation and its origin. */
export interface OwnedRevocation {
  readonly revocation: Revocation
  readonly by: RevokedBy
}

/**
 * The origin of a revocation, in any process: the caller of `api.revoke()`, or a sender of events, which can send any
 * number of them. A revocation from both counts as the operator's.
 */
export type RevokedBy = 'operator' | 'sender'

/** The parts of an access token that `isRevoked` reads. */
export interface RevocableToken extends Pick<AccessToken, 'issuer' | 'subject' | 'clientId' | 'issuedAt' | 'claims'> {
  readonly issuedBy: { readonly settings: Pick<IssuerSettings, 'acceptedIssuers'> }
}

/** The memory is full, and no live entry is evicted to make room. */
export class RevocationsFull extends Error {
  override readonly name = 'RevocationsFull'
  /** The revocations before the rejected one that took effect and changed something. */
  news: readonly Revocation[] = []
}

/** The configured bounds and the clock. */
export interface RevocationMeans extends Pick<RevocationSettings, 'keepFor' | 'maxEntries'> {
  /** Seconds since the epoch. */
  readonly now: () => number
  /** Maximum seconds from now to `until`. Default: no maximum. */
  readonly longest?: number
}

type Listener = (news: readonly Revocation[]) => void

/** Bytes of bookkeeping for an entry, beside its name. */
const ENTRY_OVERHEAD = 256
/** Bytes of bookkeeping for an issuer: with dynamic issuers, each issuer can have entries. */
const ISSUER_OVERHEAD = 1024
/** Average bytes allowed for each entry: enough for names of 128 characters. */
const BYTES_PER_ENTRY = 512
/** Minimum bytes for all entries together: enough for one entry with the longest names. */
const MIN_BYTES = 16 * 1024
/** Maximum share of sessions: users open sessions at will, and these must not block other revocations. */
const SESSIONS_SHARE = 3 / 4
/**
 * One issuer's entries from senders may take at most this many times the room left to other senders. One issuer gets at
 * most 7/8 of the senders' room, and two issuers 7/15 each.
 */
const TIMES_THE_REST = 7
/** Share of the room reserved for the operator, here and in the log: senders can never fill it. */
export const SENDERS_RESERVE = 1 / 8
/** Seconds: entries that end within the same period are removed together. */
const PERIOD = 60

/** Entries and their bytes. */
interface Amount {
  size: number
  bytes: number
}

const NOTHING: Readonly<Amount> = Object.freeze({ size: 0, bytes: 0 })

/** The revocation of one name; `name` is empty, and `kind` undefined, for the issuer itself. */
interface Entry {
  readonly issuer: string
  readonly kind: Name | undefined
  readonly name: string
  by: RevokedBy
  before: number
  until: number
  /** The latest reading of the log that found the whole entry; 0 if none did. */
  foundIn: number
}

type ByIssuer = Readonly<Record<Name, Map<string, Entry>>> & {
  /** One string that all entries of the issuer share. */
  readonly issuer: string
  everything: Entry | undefined
  size: number
  /** The entries that only senders reported. */
  readonly heard: Amount
}

/** Creates an empty memory. */
export function createRevocations(means: RevocationMeans): Revocations {
  const memory = new Memory(means)
  return {
    revoke: (revocations, by = 'operator') => memory.revoke(revocations, by),
    onNews: (listener) => memory.onNews(listener),
    isRevoked: (accessToken) => memory.isRevoked(accessToken),
    revokeLogged: (revocations, by, reading) => memory.revokeLogged(revocations, by, reading),
    missing: (revocations, reading) => memory.missing(revocations, reading),
    allMissing: (reading) => memory.allMissing(reading),
    stats: () => memory.stats()
  }
}

class Memory {
  private readonly now: () => number
  private readonly terms: Terms
  private readonly room: Room
  private readonly issuers = new Map<string, ByIssuer>()
  /** Entries by the period in which they end. Each entry is in exactly one set. */
  private readonly ending = new Map<number, Set<Entry>>()
  /** Seconds since the epoch. Starts as an integer, which V8 reads without allocating; -Infinity would be boxed. */
  private sweepAt = 0
  private listener: Listener | undefined

  constructor({ now, keepFor, maxEntries, longest = Number.POSITIVE_INFINITY }: RevocationMeans) {
    this.now = now
    this.terms = { keepFor, longest }
    this.room = new Room(maxEntries)
  }

  revoke(revocations: readonly Revocation[], by: RevokedBy): readonly Revocation[] {
    const time = this.now()
    // Validate the whole list first: an invalid revocation must not leave half of the list in effect.
    return this.heed(
      revocations.map((one) => completed(one, time, this.terms)),
      by,
      time
    )
  }

  onNews(listener: Listener): void {
    this.listener = listener
  }

  isRevoked(accessToken: RevocableToken): boolean {
    if (this.room.size === 0) return false
    const time = this.now()
    this.sweep(time)
    if (isRevokedBy(this.issuers.get(accessToken.issuer), accessToken, time)) return true
    const { acceptedIssuers: names } = accessToken.issuedBy.settings
    if (names.size === 1) return false
    // All names of an issuer share its keys and its users.
    for (const name of names) if (isRevokedBy(this.issuers.get(name), accessToken, time)) return true
    return false
  }

  revokeLogged(revocations: readonly Revocation[], by: RevokedBy, reading: number): void {
    const time = this.now()
    // Whoever appended a revocation has judged how long it lasts, by its own clock.
    const complete = revocations.map((one) =>
      completed(one, time, { ...this.terms, longest: Number.POSITIVE_INFINITY })
    )
    this.heed(complete, by, time)
    for (const one of complete) {
      const entry = this.find(one.issuer, one)
      // The entry may have more than this revocation: a later time, or the operator as its owner.
      if (entry !== undefined && saysAll(one, by, entry)) entry.foundIn = Math.max(entry.foundIn, reading)
    }
  }

  missing(revocations: readonly Revocation[], reading: number): readonly OwnedRevocation[] {
    const entries = new Set(revocations.map((one) => this.find(one.issuer, nameOf(one))))
    return [...entries].flatMap((entry) => (entry === undefined || entry.foundIn === reading ? [] : [asOwned(entry)]))
  }

  *allMissing(reading: number): Iterable<OwnedRevocation> {
    this.sweep(this.now())
    for (const owner of ['operator', 'sender'] as const)
      for (const entries of this.ending.values())
        for (const entry of entries) if (entry.by === owner && entry.foundIn !== reading) yield asOwned(entry)
  }

  stats(): RevocationStats {
    this.sweep(this.now())
    const { size, maxEntries, bytes, maxBytes } = this.room
    return { entries: size, maxEntries, bytes, maxBytes }
  }

  /** Removes the entries that have ended, at most once a period. */
  private sweep(time: number): void {
    // If the clock returns NaN, the comparison is false and nothing is removed.
    if (!(time >= this.sweepAt)) return
    const current = Math.floor(time / PERIOD)
    this.sweepAt = (current + 1) * PERIOD
    for (const [period, entries] of this.ending) {
      if (period > current) continue
      for (const entry of entries) this.forget(entry)
      this.ending.delete(period)
    }
  }

  /** @throws {RevocationsFull} with the revocations that changed something before */
  private heed(revocations: readonly Complete[], by: RevokedBy, time: number): readonly Revocation[] {
    this.sweep(time)
    const news: Revocation[] = []
    try {
      for (const one of revocations) {
        if (time >= one.until) continue
        const known = this.find(one.issuer, one)
        if (known === undefined) news.push(asRevocation(this.add(one, by)))
        else if (this.extend(known, one, by)) news.push(asRevocation(known))
      }
    } catch (error) {
      if (error instanceof RevocationsFull) error.news = news
      throw error
    } finally {
      if (news.length > 0) this.listener?.(news)
    }
    return news
  }

  private find(issuer: string, { kind, name }: Pick<Complete, 'kind' | 'name'>): Entry | undefined {
    const of = this.issuers.get(issuer)
    return kind === undefined ? of?.everything : of?.[kind].get(name)
  }

  /** @returns whether the entry changed */
  private extend(known: Entry, revocation: Complete, by: RevokedBy): boolean {
    const before = Math.max(known.before, revocation.before)
    const isLater = before !== known.before
    const until = isLater || revocation.hasUntil ? Math.max(known.until, revocation.until) : known.until
    const isNew = isLater || until !== known.until
    if (isNew) this.date(known, before, until)
    if (by === 'sender' || known.by === 'operator') return isNew
    known.by = 'operator'
    known.foundIn = 0
    this.room.giveToOperator(known, this.issuers.get(known.issuer) as ByIssuer)
    return true
  }

  /** @throws {RevocationsFull} */
  private add({ issuer, kind, name, before, until }: Complete, by: RevokedBy): Entry {
    const into = this.issuers.get(issuer) ?? createByIssuer(issuer)
    const entry: Entry = { issuer: into.issuer, kind, name, by, before: 0, until: 0, foundIn: 0 }
    this.room.take(entry, into)
    this.issuers.set(into.issuer, into)
    if (kind === undefined) into.everything = entry
    else into[kind].set(name, entry)
    this.date(entry, before, until)
    return entry
  }

  /** Sets the times of an entry, with the period that follows from them. No log has it yet. */
  private date(entry: Entry, before: number, until: number): void {
    const left = this.ending.get(periodOf(entry))
    left?.delete(entry)
    if (left?.size === 0) this.ending.delete(periodOf(entry))
    entry.before = before
    entry.until = until
    entry.foundIn = 0
    const others = this.ending.get(periodOf(entry))
    if (others) others.add(entry)
    else this.ending.set(periodOf(entry), new Set([entry]))
  }

  /** Does NOT remove the entry from its period: `sweep` removes the whole period. */
  private forget(entry: Entry): void {
    const of = this.issuers.get(entry.issuer) as ByIssuer
    if (entry.kind === undefined) of.everything = undefined
    else of[entry.kind].delete(entry.name)
    this.room.release(entry, of)
    if (of.size === 0) this.issuers.delete(entry.issuer)
  }
}

/**
 * Counts the room that entries take, and rejects an entry beyond a limit: the total, that of sessions, or that of one
 * issuer's senders.
 */
class Room {
  size = 0
  bytes = 0
  readonly maxEntries: number
  readonly maxBytes: number
  /** The operator's: at least the room of one entry with the longest names. */
  private readonly reserve: Readonly<Amount>
  private readonly sessions: Amount = { size: 0, bytes: 0 }

  constructor(maxEntries: number) {
    this.maxEntries = maxEntries
    this.maxBytes = Math.max(MIN_BYTES, maxEntries * BYTES_PER_ENTRY)
    this.reserve = {
      size: Math.max(1, Math.ceil(maxEntries * SENDERS_RESERVE)),
      bytes: Math.max(this.maxBytes * SENDERS_RESERVE, ENTRY_OVERHEAD + ISSUER_OVERHEAD + 4 * MAX_NAME_LENGTH)
    }
  }

  /** @throws {RevocationsFull} no room; then nothing has changed */
  take(entry: Entry, into: ByIssuer): void {
    const more = weigh(entry) + (into.size === 0 ? weighIssuer(into) : 0)
    const kept = entry.by === 'sender' ? this.reserve : NOTHING
    this.requireLeft(entry, into, more, kept)
    if (entry.kind === 'sessionId') {
      this.requireSessionsLeft(more, kept)
      change(this.sessions, 1, weigh(entry))
    }
    if (entry.by === 'sender') change(into.heard, 1, weigh(entry))
    into.size++
    this.size++
    this.bytes += more
  }

  release(entry: Entry, from: ByIssuer): void {
    if (entry.kind === 'sessionId') change(this.sessions, -1, -weigh(entry))
    if (entry.by === 'sender') change(from.heard, -1, -weigh(entry))
    from.size--
    this.size--
    this.bytes -= weigh(entry) + (from.size === 0 ? weighIssuer(from) : 0)
  }

  /** The operator repeated a sender's revocation, so it no longer counts as the sender's. */
  giveToOperator(entry: Entry, { heard }: ByIssuer): void {
    change(heard, -1, -weigh(entry))
  }

  /** @throws {RevocationsFull} */
  private requireLeft({ by }: Entry, { heard, issuer }: ByIssuer, more: number, kept: Readonly<Amount>): void {
    const { size, bytes, maxEntries, maxBytes } = this
    /** The room left after this entry, without the operator's reserve. */
    const left = { size: maxEntries - size - 1 - kept.size, bytes: maxBytes - bytes - more - kept.bytes }
    if (left.size < 0 || left.bytes < 0)
      throw new RevocationsFull(
        by === 'sender'
          ? `the memory for revocations from senders is full: ${size} entries (${bytes} bytes). The rest is reserved for api.revoke(). Raise \`revocation.maxEntries\``
          : `the memory for revocations is full: ${size} entries (${bytes} bytes), and none of them may be evicted yet. Raise \`revocation.maxEntries\``
      )
    if (by === 'sender' && (heard.size > TIMES_THE_REST * left.size || heard.bytes > TIMES_THE_REST * left.bytes))
      throw new RevocationsFull(
        `the ${heard.size} revocations from senders of ${issuer} use their whole share. Other issuers and api.revoke() still have room`
      )
  }

  /** @throws {RevocationsFull} */
  private requireSessionsLeft(more: number, kept: Readonly<Amount>): void {
    const { size, bytes } = this.sessions
    if (
      size + kept.size >= this.maxEntries * SESSIONS_SHARE ||
      bytes + more + kept.bytes > this.maxBytes * SESSIONS_SHARE
    )
      throw new RevocationsFull(`the ${size} revoked sessions use their whole share. Other revocations still have room`)
  }
}

function createByIssuer(issuer: string): ByIssuer {
  return {
    issuer,
    everything: undefined,
    size: 0,
    heard: { size: 0, bytes: 0 },
    jti: new Map(),
    subject: new Map(),
    sessionId: new Map(),
    clientId: new Map()
  }
}

function isRevokedBy(known: ByIssuer | undefined, accessToken: RevocableToken, time: number): boolean {
  if (known === undefined) return false
  const { subject, clientId, issuedAt, claims } = accessToken
  const { jti, sid } = claims
  return (
    applies(known.everything, issuedAt, time) ||
    (typeof jti === 'string' && isLive(known.jti.get(jti), time)) ||
    (subject !== undefined && applies(known.subject.get(subject), issuedAt, time)) ||
    (typeof sid === 'string' && applies(known.sessionId.get(sid), issuedAt, time)) ||
    (clientId !== undefined && applies(known.clientId.get(clientId), issuedAt, time))
  )
}

function applies(entry: Entry | undefined, issuedAt: number | undefined, time: number): boolean {
  return isLive(entry, time) && (issuedAt === undefined || issuedAt < entry.before)
}

function isLive(entry: Entry | undefined, time: number): entry is Entry {
  // If the clock returns NaN, the entry still holds.
  return entry !== undefined && !(time >= entry.until)
}

function periodOf({ until }: Entry): number {
  return Math.ceil(until / PERIOD)
}

function change(amount: Amount, size: number, bytes: number): void {
  amount.size += size
  amount.bytes += bytes
}

function weigh({ name }: Entry): number {
  return ENTRY_OVERHEAD + 2 * name.length
}

function weighIssuer({ issuer }: ByIssuer): number {
  return ISSUER_OVERHEAD + 2 * issuer.length
}

function asOwned(entry: Entry): OwnedRevocation {
  return { revocation: asRevocation(entry), by: entry.by }
}

/** True if the revocation says all that the entry says. */
function saysAll({ before, until }: Complete, by: RevokedBy, entry: Entry): boolean {
  return before === entry.before && until === entry.until && (by === 'operator' || entry.by === 'sender')
}
