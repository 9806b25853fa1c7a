/**
 * `access.signal`: an AbortSignal for work that outlives its request. It fires when the token expires or is revoked here.
 * It is created when it is first read, so a token whose signal is never read costs nothing.
 *
 * A signal without listeners is garbage-collected with its access. A signal with listeners stays until it fires or the
 * listeners are removed, like one of `AbortSignal.timeout()`. Nothing in this file keeps a token in memory.
 *
 * Does NOT check status lists or introspection: requests and `enforce()` do.
 */
import { setMaxListeners } from 'node:events'
import type { VerifiedAccessToken } from '../access-token/verified-access-token.js'
import { type Timer, world } from '../base/world.js'
import type { InvalidToken } from '../errors/errors.js'
import type { Revocation } from './revocation.js'
import type { RevocableToken, Revocations } from './revocations.js'

/**
 * Maximum milliseconds until the clock is read again, because it may be set while a timer runs. Less than the 2^31 ms that a
 * timer can wait.
 */
const LONGEST_WAIT = 60_000

export interface Lifetimes {
  /** The same signal for all accesses of one verified token. */
  readonly signalOf: (accessToken: VerifiedAccessToken) => AbortSignal
  readonly stats: () => { readonly entries: number }
  /** Ends the timers: from then on only a revocation fires a signal. */
  readonly close: () => void
}

export interface LifetimeMeans {
  /** Seconds since the epoch. */
  readonly now: () => number
  readonly revocations: Pick<Revocations, 'isRevoked' | 'onNews'>
  /** The reason of a signal: the refusal that a request would get now. */
  readonly refusal: (reason: EndReason) => InvalidToken
}

type EndReason = 'expired' | 'revoked'

/** A signal that has not fired. It refers neither to the signal that the caller holds nor to the token. */
interface Entry {
  readonly controller: AbortController
  readonly token: RevocableToken
  /** Seconds since the epoch; undefined for a token that does not expire. */
  readonly end: number | undefined
  readonly names: readonly string[]
  timer: Timer | undefined
}

/** Creates an empty registry, and takes over `onNews` of the revocations. */
export function createLifetimes(means: LifetimeMeans): Lifetimes {
  const registry = new Registry(means)
  means.revocations.onNews((news) => registry.fireRevoked(news))
  return {
    signalOf: (accessToken) => registry.signalOf(accessToken),
    stats: () => registry.stats(),
    close: () => registry.close()
  }
}

/** The signals that were handed out and have not fired. */
class Registry {
  private readonly means: LifetimeMeans
  private readonly signals = new WeakMap<VerifiedAccessToken, AbortSignal>()
  private readonly entries = new Set<Entry>()
  /** Entries by the names that a revocation can have, so a revocation of one user does not check all entries. */
  private readonly byName = new Map<string, Set<Entry>>()
  private readonly collected = new FinalizationRegistry<Entry>((entry) => this.forget(entry))
  private isClosed = false

  constructor(means: LifetimeMeans) {
    this.means = means
  }

  signalOf(accessToken: VerifiedAccessToken): AbortSignal {
    const known = this.signals.get(accessToken)
    if (known !== undefined) return known
    const made = this.create(accessToken)
    this.signals.set(accessToken, made)
    return made
  }

  fireRevoked(news: readonly Revocation[]): void {
    if (this.entries.size === 0) return
    for (const one of news) {
      const name = nameOf(one)
      // Firing deletes the entry from the set under iteration, which a Set allows.
      for (const entry of (name === undefined ? this.entries : this.byName.get(name)) ?? [])
        if (this.means.revocations.isRevoked(entry.token)) this.fire(entry, 'revoked')
    }
  }

  stats(): { readonly entries: number } {
    return { entries: this.entries.size }
  }

  close(): void {
    this.isClosed = true
    for (const { timer } of this.entries) world.cancel(timer)
  }

  private create(accessToken: VerifiedAccessToken): AbortSignal {
    const { now, revocations, refusal } = this.means
    const token = revocableOf(accessToken)
    const { expiresAt, verifier } = accessToken
    const end = expiresAt === undefined ? undefined : expiresAt + verifier.clockTolerance
    const controller = new AbortController()
    const entry: Entry = { controller, token, end, names: namesOf(token), timer: undefined }
    // A dependent signal: the platform keeps it alive exactly as long as it has listeners.
    const signal = AbortSignal.any([controller.signal])
    // All requests with one token share the signal, so it can have many listeners.
    setMaxListeners(0, signal)
    if (revocations.isRevoked(token)) controller.abort(refusal('revoked'))
    else if (end !== undefined && !(now() < end)) controller.abort(refusal('expired'))
    else {
      this.watch(entry)
      this.collected.register(signal, entry)
    }
    return signal
  }

  private watch(entry: Entry): void {
    this.entries.add(entry)
    for (const name of entry.names) {
      const all = this.byName.get(name)
      if (all) all.add(entry)
      else this.byName.set(name, new Set([entry]))
    }
    if (entry.end !== undefined && !this.isClosed) this.wait(entry, entry.end)
  }

  private wait(entry: Entry, end: number): void {
    const left = (end - this.means.now()) * 1000
    // If the clock returns NaN, the token has expired, as it has for requests.
    if (!(left > 0)) {
      this.fire(entry, 'expired')
      return
    }
    entry.timer = world.after(Math.max(1, Math.min(left, LONGEST_WAIT)), () => this.wait(entry, end))
    entry.timer.unref()
  }

  private fire(entry: Entry, reason: EndReason): void {
    this.forget(entry)
    entry.controller.abort(this.means.refusal(reason))
  }

  private forget(entry: Entry): void {
    world.cancel(entry.timer)
    this.entries.delete(entry)
    for (const name of entry.names) {
      const all = this.byName.get(name)
      all?.delete(entry)
      if (all?.size === 0) this.byName.delete(name)
    }
  }
}

/** Copies only the parts that a revocation can name, so that an entry does not keep the token in memory. */
function revocableOf({ issuer, subject, clientId, issuedAt, claims, issuedBy }: VerifiedAccessToken): RevocableToken {
  const { acceptedIssuers } = issuedBy.settings
  const { jti, sid } = claims
  return { issuer, subject, clientId, issuedAt, claims: { jti, sid }, issuedBy: { settings: { acceptedIssuers } } }
}

function namesOf({ subject, clientId, claims: { jti, sid } }: RevocableToken): readonly string[] {
  const named = { jti, subject, sessionId: sid, clientId }
  return Object.entries(named).flatMap(([kind, name]) => (typeof name === 'string' ? [`${kind} ${name}`] : []))
}

/** The single name of a revocation; undefined if it revokes all tokens of an issuer. */
function nameOf(revocation: Revocation): string | undefined {
  const named = revocation as unknown as Readonly<Record<string, unknown>>
  const kind = ['jti', 'subject', 'sessionId', 'clientId'].find((one) => named[one] !== undefined)
  return kind === undefined ? undefined : `${kind} ${String(named[kind])}`
}
