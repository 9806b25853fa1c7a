/**
 * `access.signal`: an AbortSignal for what outlives its request, fired when the token ends or is revoked here. Made when it
 * is read: tokens whose signal nobody reads cost nothing.
 *
 * A signal without listeners is collected with its access. One with listeners stays until it fires or they are removed, as
 * one of `AbortSignal.timeout()` does. Nothing here holds a token.
 *
 * Does NOT know of status lists and introspection answers: those are asked about on requests, and by `enforce()`.
 */
import { setMaxListeners } from 'node:events'
import type { VerifiedAccessToken } from '../access-token/verified-access-token.js'
import type { InvalidToken } from '../errors/errors.js'
import type { Revocation } from './revocation.js'
import type { RevocableToken, Revocations } from './revocations.js'

/** Milliseconds between two looks at the clock, which may be set while a timer runs. Below the 2^31 that a timer can wait. */
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
  readonly refusal: (reason: 'expired' | 'revoked') => InvalidToken
}

/** A signal that has not fired. It holds neither the signal that was handed out nor the token. */
interface Entry {
  readonly controller: AbortController
  readonly token: RevocableToken
  /** Seconds since the epoch; undefined for a token without an end. */
  readonly end: number | undefined
  readonly names: readonly string[]
  timer: NodeJS.Timeout | undefined
}

export function createLifetimes({ now, revocations, refusal }: LifetimeMeans): Lifetimes {
  const signals = new WeakMap<VerifiedAccessToken, AbortSignal>()
  const entries = new Set<Entry>()
  /** By the names that a revocation may have, so that one about a single user does not look at all entries. */
  const byName = new Map<string, Set<Entry>>()
  let isClosed = false

  const forget = (entry: Entry): void => {
    clearTimeout(entry.timer)
    entries.delete(entry)
    for (const name of entry.names) {
      const all = byName.get(name)
      all?.delete(entry)
      if (all?.size === 0) byName.delete(name)
    }
  }
  const collected = new FinalizationRegistry<Entry>(forget)

  const fire = (entry: Entry, reason: 'expired' | 'revoked'): void => {
    forget(entry)
    entry.controller.abort(refusal(reason))
  }

  const wait = (entry: Entry, end: number): void => {
    const left = (end - now()) * 1000
    // A clock that answers no number ends the token, as on requests.
    if (!(left > 0)) {
      fire(entry, 'expired')
      return
    }
    entry.timer = setTimeout(wait, Math.max(1, Math.min(left, LONGEST_WAIT)), entry, end)
    entry.timer.unref()
  }

  const watch = (entry: Entry): void => {
    entries.add(entry)
    for (const name of entry.names) {
      const all = byName.get(name)
      if (all) all.add(entry)
      else byName.set(name, new Set([entry]))
    }
    if (entry.end !== undefined && !isClosed) wait(entry, entry.end)
  }

  const create = (accessToken: VerifiedAccessToken): AbortSignal => {
    const token = revocableOf(accessToken)
    const { expiresAt, verifier } = accessToken
    const end = expiresAt === undefined ? undefined : expiresAt + verifier.clockTolerance
    const controller = new AbortController()
    const entry: Entry = { controller, token, end, names: namesOf(token), timer: undefined }
    // A dependent signal: the platform keeps it for as long as it has listeners, and no longer.
    const signal = AbortSignal.any([controller.signal])
    // All requests with one token share it, so it may have many listeners.
    setMaxListeners(0, signal)
    if (revocations.isRevoked(token)) controller.abort(refusal('revoked'))
    else if (end !== undefined && !(now() < end)) controller.abort(refusal('expired'))
    else {
      watch(entry)
      collected.register(signal, entry)
    }
    return signal
  }

  revocations.onNews((news) => {
    if (entries.size === 0) return
    for (const one of news) {
      const name = nameOf(one)
      // Fired ones leave the set while it is walked, which a Set allows.
      for (const entry of (name === undefined ? entries : byName.get(name)) ?? [])
        if (revocations.isRevoked(entry.token)) fire(entry, 'revoked')
    }
  })

  return {
    signalOf: (accessToken) => {
      const known = signals.get(accessToken)
      if (known !== undefined) return known
      const made = create(accessToken)
      signals.set(accessToken, made)
      return made
    },
    stats: () => ({ entries: entries.size }),
    close: () => {
      isClosed = true
      for (const { timer } of entries) clearTimeout(timer)
    }
  }
}

/** A copy of what a revocation can be about, and nothing else of the token. */
function revocableOf({ issuer, subject, clientId, issuedAt, claims, issuedBy }: VerifiedAccessToken): RevocableToken {
  const { acceptedIssuers } = issuedBy.settings
  const { jti, sid } = claims
  return { issuer, subject, clientId, issuedAt, claims: { jti, sid }, issuedBy: { settings: { acceptedIssuers } } }
}

function namesOf({ subject, clientId, claims: { jti, sid } }: RevocableToken): readonly string[] {
  const named = { jti, subject, sessionId: sid, clientId }
  return Object.entries(named).flatMap(([kind, name]) => (typeof name === 'string' ? [`${kind} ${name}`] : []))
}

/** The one name of a revocation; undefined for one of everything that an issuer issued. */
function nameOf(revocation: Revocation): string | undefined {
  const named = revocation as unknown as Readonly<Record<string, unknown>>
  const kind = ['jti', 'subject', 'sessionId', 'clientId'].find((one) => named[one] !== undefined)
  return kind === undefined ? undefined : `${kind} ${String(named[kind])}`
}
