/**
 * Which verified access tokens are to be refused all the same: one by its `jti`, or all that were issued to a subject, a
 * session or a client, or by an issuer, before a time. Asked on every request, past every cache; nothing on an entry is
 * made of a token's bytes, of which there can be more than one text for one token (RFC 7515 §2).
 *
 * It never forgets an entry before its time to make room: when it is full, `revoke` throws, and what was revoked stays
 * revoked. Does NOT outlive the process, and does NOT verify who says that something is revoked.
 */
import { hash } from 'node:crypto'
import type { IssuerSettings } from '../issuer/settings.js'
import type { AccessToken } from '../types.js'
import type { Revocation } from './revocation.js'
import { asRevocation, type Complete, completed, MAX_NAME_LENGTH, type Name } from './revocation.js'
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
   * From now on. What is revoked already stays so at least as long, and at least up to the later `before`; in whatever
   * order the same revocations come, and however often, the outcome is the same.
   *
   * @param by  who said so; default the operator. Senders of events have less room: none of them can keep the others from
   *   being heard, and all of them together leave the operator's reserve
   * @returns those that said something new, with their defaults filled in
   * @throws {TypeError} one that is none; no other is heeded then
   * @throws {RevocationsFull} those before it hold (`news`), and nothing was forgotten
   */
  readonly revoke: (revocations: readonly Revocation[], by?: RevokedBy) => readonly Revocation[]
  /** Calls back with what `revoke` was told that is new, once it holds. There is one listener: the last one given. */
  readonly onNews: (listener: (news: readonly Revocation[]) => void) => void
  /** Under whatever name of its issuer the revocation was. */
  readonly isRevoked: (accessToken: RevocableToken) => boolean
  /** All that is remembered, to tell a process that was not there. @param by  only what was said by these */
  readonly entries: (by?: RevokedBy) => readonly Revocation[]
  /** The same for two that hold the same entries, in whatever order they came. */
  readonly digest: () => string
  readonly stats: () => RevocationStats
}

/**
 * Who first said that something is revoked, in whichever process: the caller of `api.revoke()`, or a sender of events, which
 * can send as many as it likes. Said by both, it counts as the operator's.
 */
export type RevokedBy = 'operator' | 'sender'

/** What is read of an access token. */
export interface RevocableToken extends Pick<AccessToken, 'issuer' | 'subject' | 'clientId' | 'issuedAt' | 'claims'> {
  readonly issuedBy: { readonly settings: Pick<IssuerSettings, 'acceptedIssuers'> }
}

/** There is no room, and nothing will be forgotten before its time to make some. */
export class RevocationsFull extends Error {
  override readonly name = 'RevocationsFull'
  /** Those before it that hold, and say something new. */
  news: readonly Revocation[] = []
}

/** Bookkeeping of an entry, beside its name. */
const ENTRY_OVERHEAD = 256
/** The same of an issuer: who looks issuers up may revoke something of each. */
const ISSUER_OVERHEAD = 1024
/** Bytes that an entry may take, on average: names of 128 characters … */
const BYTES_PER_ENTRY = 512
/** … and all of them at least: room for one with the longest names. */
const MIN_BYTES = 16 * 1024
/** Of the room, what sessions may take: their users make new ones at will, and must not keep all else from being revoked. */
const SESSIONS_SHARE = 3 / 4
/**
 * What senders say of one issuer's tokens may take so many times the room that it leaves to other senders: of theirs in all
 * 7/8, of two issuers' 7/15 each.
 */
const TIMES_THE_REST = 7
/** Part of the room that only the operator may take: what senders say never fills it, in whatever way it came. */
const RESERVE = 1 / 8
const NOTHING = { size: 0, bytes: 0 }
/** Seconds: what ends within one of these is forgotten together. */
const PERIOD = 60

/** All that is known about one name; `name` is undefined for the issuer itself. */
interface Entry {
  readonly issuer: string
  readonly kind: Name | undefined
  readonly name: string
  by: RevokedBy
  before: number
  until: number
  /** Of the entry as it is, for comparing two memories. */
  mark: number
}

type ByIssuer = Readonly<Record<Name, Map<string, Entry>>> & {
  /** One text for all its entries, each of which came with its own. */
  readonly issuer: string
  everything: Entry | undefined
  size: number
  /** The part of these that senders said. */
  readonly heard: { size: number; bytes: number }
}

export function createRevocations({
  now,
  keepFor,
  maxEntries
}: RevocationSettings & { now: () => number }): Revocations {
  const maxBytes = Math.max(MIN_BYTES, maxEntries * BYTES_PER_ENTRY)
  /** Entries, and bytes: at least those of one entry with the longest names. */
  const reserve = {
    size: Math.max(1, Math.ceil(maxEntries * RESERVE)),
    bytes: Math.max(maxBytes * RESERVE, ENTRY_OVERHEAD + ISSUER_OVERHEAD + 4 * MAX_NAME_LENGTH)
  }
  const issuers = new Map<string, ByIssuer>()
  /** By the period in which they end. Each is in one of these. */
  const ending = new Map<number, Set<Entry>>()
  let size = 0
  let bytes = 0
  const sessions = { size: 0, bytes: 0 }
  let marks = 0
  let sweepAt = Number.NEGATIVE_INFINITY
  let heard: ((news: readonly Revocation[]) => void) | undefined

  const endsIn = ({ until }: Entry): number => Math.ceil(until / PERIOD)

  const remember = (entry: Entry, { before, until }: Pick<Entry, 'before' | 'until'>): void => {
    const left = ending.get(endsIn(entry))
    left?.delete(entry)
    if (left?.size === 0) ending.delete(endsIn(entry))
    marks ^= entry.mark
    entry.before = before
    entry.until = until
    entry.mark = markOf(entry)
    marks ^= entry.mark
    const period = endsIn(entry)
    const others = ending.get(period)
    if (others) others.add(entry)
    else ending.set(period, new Set([entry]))
  }

  const unhear = (entry: Entry, { heard }: ByIssuer): void => {
    heard.size--
    heard.bytes -= weigh(entry)
  }

  const forget = (entry: Entry): void => {
    const known = issuers.get(entry.issuer) as ByIssuer
    if (entry.kind === undefined) known.everything = undefined
    else known[entry.kind].delete(entry.name)
    marks ^= entry.mark
    known.size--
    if (entry.by === 'sender') unhear(entry, known)
    size--
    bytes -= weigh(entry)
    if (known.size === 0) {
      issuers.delete(entry.issuer)
      bytes -= weighIssuer(known)
    }
    if (entry.kind === 'sessionId') {
      sessions.size--
      sessions.bytes -= weigh(entry)
    }
  }

  const sweep = (time: number): void => {
    // Also for a time that is no number: then nothing is forgotten.
    if (!(time >= sweepAt)) return
    const current = Math.floor(time / PERIOD)
    sweepAt = (current + 1) * PERIOD
    for (const [period, entries] of ending) {
      if (period > current) continue
      for (const entry of entries) forget(entry)
      ending.delete(period)
    }
  }

  /** @throws {RevocationsFull} */
  const requireRoom = (entry: Entry, into: ByIssuer, more: number, by: RevokedBy): void => {
    const kept = by === 'sender' ? reserve : NOTHING
    /** After it, beside what is kept for the operator. */
    const left = { size: maxEntries - size - 1 - kept.size, bytes: maxBytes - bytes - more - kept.bytes }
    if (left.size < 0 || left.bytes < 0)
      throw new RevocationsFull(
        by === 'sender'
          ? `${size} revocations are remembered (${bytes} bytes), and what is left is kept for api.revoke()`
          : `${size} revocations are remembered (${bytes} bytes), and none may be forgotten yet`
      )
    const { heard } = into
    if (by === 'sender' && (heard.size > TIMES_THE_REST * left.size || heard.bytes > TIMES_THE_REST * left.bytes))
      throw new RevocationsFull(`${heard.size} revocations of ${into.issuer} have no more room; all else has`)
    if (
      entry.kind === 'sessionId' &&
      (sessions.size + kept.size >= maxEntries * SESSIONS_SHARE ||
        sessions.bytes + more + kept.bytes > maxBytes * SESSIONS_SHARE)
    )
      throw new RevocationsFull(`${sessions.size} sessions are revoked, and have no more room; all else has`)
  }

  const heed = (revocation: Complete, by: RevokedBy): boolean => {
    const { issuer, kind, name } = revocation
    const found = issuers.get(issuer)
    const known = kind === undefined ? found?.everything : found?.[kind].get(name)
    if (known !== undefined) {
      const before = Math.max(known.before, revocation.before)
      const until = Math.max(known.until, revocation.until)
      const isNew = before !== known.before || until !== known.until
      if (isNew) remember(known, { before, until })
      if (by === 'sender' || known.by === 'operator') return isNew
      known.by = 'operator'
      unhear(known, found as ByIssuer)
      return true
    }
    const into: ByIssuer = found ?? {
      issuer,
      everything: undefined,
      size: 0,
      heard: { size: 0, bytes: 0 },
      jti: new Map(),
      subject: new Map(),
      sessionId: new Map(),
      clientId: new Map()
    }
    const entry: Entry = { issuer: into.issuer, kind, name, by, before: 0, until: 0, mark: 0 }
    const more = weigh(entry) + (found ? 0 : weighIssuer(into))
    requireRoom(entry, into, more, by)
    if (kind === 'sessionId') {
      sessions.size++
      sessions.bytes += weigh(entry)
    }
    into.size++
    if (by === 'sender') {
      into.heard.size++
      into.heard.bytes += weigh(entry)
    }
    issuers.set(into.issuer, into)
    if (kind === undefined) into.everything = entry
    else into[kind].set(name, entry)
    size++
    bytes += more
    remember(entry, revocation)
    return true
  }

  const isLive = (entry: Entry | undefined, time: number): entry is Entry => {
    // A clock that answers no number ends nothing.
    return entry !== undefined && !(time >= entry.until)
  }

  const applies = (entry: Entry | undefined, issuedAt: number | undefined, time: number): boolean =>
    isLive(entry, time) && (issuedAt === undefined || issuedAt < entry.before)

  const isRevokedBy = (known: ByIssuer | undefined, accessToken: RevocableToken, time: number): boolean => {
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

  return {
    revoke: (revocations, by = 'operator') => {
      const time = now()
      sweep(time)
      // All are read before any is heeded: one that is none must not leave half of them done.
      const complete = revocations.map((one) => completed(one, time, keepFor))
      const news: Revocation[] = []
      try {
        for (const one of complete) if (!(time >= one.until) && heed(one, by)) news.push(asRevocation(one))
      } catch (error) {
        if (error instanceof RevocationsFull) error.news = news
        throw error
      } finally {
        if (news.length > 0) heard?.(news)
      }
      return news
    },
    onNews: (listener) => {
      heard = listener
    },
    isRevoked: (accessToken) => {
      if (size === 0) return false
      const time = now()
      sweep(time)
      if (isRevokedBy(issuers.get(accessToken.issuer), accessToken, time)) return true
      const { acceptedIssuers: names } = accessToken.issuedBy.settings
      if (names.size === 1) return false
      // The same keys sign under all of them, for the same users.
      for (const name of names) if (isRevokedBy(issuers.get(name), accessToken, time)) return true
      return false
    },
    entries: (by) => {
      sweep(now())
      const all = [...ending.values()].flatMap((entries) => [...entries])
      return all.filter((one) => by === undefined || one.by === by).map(asRevocation)
    },
    digest: () => {
      sweep(now())
      return `${size}.${marks >>> 0}`
    },
    stats: () => {
      sweep(now())
      return { entries: size, maxEntries, bytes, maxBytes }
    }
  }
}

function weigh({ name }: Entry): number {
  return ENTRY_OVERHEAD + 2 * name.length
}

function weighIssuer({ issuer }: ByIssuer): number {
  return ISSUER_OVERHEAD + 2 * issuer.length
}

function markOf({ issuer, kind, name, before, until }: Entry): number {
  return Number.parseInt(hash('sha256', JSON.stringify([issuer, kind, name, before, until]), 'hex').slice(0, 8), 16) | 0
}
