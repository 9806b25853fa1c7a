/**
 * How many requests to the authorization server a fault may cause at most, from the numbers that the package promises
 * (docs/reliability.md repeats them) and nothing else.
 */
import type { Upstream } from './apps.js'

/** Attempts that one fetch of a document or one introspection makes: the first and one retry. */
const ATTEMPTS = 2
/** Seconds of a window, in which a document is asked for once for renewal. */
const WINDOW = 30
/** Looks for keys that a set lacks, in a window, and renewals because of wrong signatures. */
const LOOKS = 3
const RECHECKS = 1
/** Locations of metadata, for an issuer without a path. */
const LOCATIONS = 2
/** Failures of which the breaker needs so many to open, and seconds until one call may try. */
const BREAKER = { failures: 20, openFor: 5 }
const IN_FLIGHT = 64
/** Seconds for which "active" and "not active" are remembered. */
const ACTIVE_FOR = 30
const INACTIVE_FOR = 10

export interface Circumstances {
  /** Seconds from the first request to the last, by the clock of the resource server. */
  readonly seconds: number
  /** Different opaque tokens that were sent: only once each, or again and again. */
  readonly tokens: { readonly once: number; readonly active: number; readonly inactive: number }
  /** Requests with an opaque token. */
  readonly opaque: number
  /** Which documents cannot be had; `'now and then'`: some requests are answered, others are not. */
  readonly failing: Readonly<Record<keyof Upstream, boolean | 'now and then'>>
  /** Requests that the client has under way at once. */
  readonly concurrent: number
  /** Connections were cut, so that good answers may take a second attempt. */
  readonly cut: boolean
}

export function boundOf({ seconds, tokens, opaque, failing, concurrent, cut }: Circumstances): Upstream {
  const periods = (window: number): number => 1 + Math.floor(seconds / window)
  const document = (name: 'metadata' | 'jwks', fetches: number, requests: number): number => {
    if (failing[name] === false) return fetches * (cut ? ATTEMPTS : 1)
    return (failedAttempts(seconds) + (failing[name] === true ? 0 : fetches)) * requests
  }
  const asked = tokens.once + tokens.active * periods(ACTIVE_FOR) + tokens.inactive * periods(INACTIVE_FOR)
  // Those under way when the breaker opens end as they may; then one tries at a time, every few seconds.
  const opened = BREAKER.failures - 1 + Math.min(IN_FLIGHT, concurrent)
  const probes = periods(BREAKER.openFor)
  const introspection = {
    false: asked * (cut ? ATTEMPTS : 1),
    true: (opened + probes) * ATTEMPTS,
    // A failure is not remembered: the next request with the same token asks again.
    'now and then': opaque * ATTEMPTS
  }
  return {
    metadata: document('metadata', periods(WINDOW), LOCATIONS * ATTEMPTS),
    jwks: document('jwks', periods(WINDOW) * (1 + LOOKS + RECHECKS), ATTEMPTS),
    introspection: introspection[`${failing.introspection}`]
  }
}

/** Attempts in so many seconds with a back-off of 1, 2, 4, … up to 30 s, each shortened by jitter to a tenth at most. */
function failedAttempts(seconds: number): number {
  let attempts = 1
  for (let at = 0.1, backoff = 1; at <= seconds; attempts++) {
    backoff = Math.min(WINDOW, backoff * 2)
    at += backoff / 10
  }
  return attempts
}
