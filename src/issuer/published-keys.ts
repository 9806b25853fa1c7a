/** The key set that an issuer publishes: how it is read, and how long it is fresh. */
import { Unavailable } from '../errors/errors.js'
import { type Answer, describeStatus, type Exchange } from '../http/exchange.js'
import { type KeyEvents, type KeySet, readKeySet } from '../jwt/key-set.js'

/** Seconds. */
export const KEYS_FRESH_FOR = { default: 600, min: 60, max: 3600 }

/** Seconds a key set is fresh: `max-age`, within bounds (RFC 9111 §5.2.2.1). */
export function lifetime(cacheControl: string): number {
  const maxAge = /(?:^|[\s,])max-age="?(\d{1,9})/.exec(cacheControl)?.[1]
  if (maxAge === undefined) return KEYS_FRESH_FOR.default
  return Math.min(KEYS_FRESH_FOR.max, Math.max(KEYS_FRESH_FOR.min, Number(maxAge)))
}

/** Seconds since the epoch of a `Date` field (RFC 9110 §6.6.1); undefined for what is not a date. */
export function readDate(field: string): number | undefined {
  const milliseconds = Date.parse(field)
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000
}

/**
 * How a key set is asked for.
 *
 * @param again         past caches on the way
 * @param credentials   header fields of `jwksAuth`
 */
export function keySetExchange(
  url: string,
  again: boolean,
  credentials: Readonly<Record<string, string>> = {}
): Exchange {
  const headers = {
    ...credentials,
    accept: 'application/json, application/jwk-set+json',
    ...(again && { 'cache-control': 'no-cache' })
  }
  return { url, method: 'GET', headers, dependency: 'jwks' }
}

/**
 * A published set that is empty, malformed or too large is a failed attempt: it never replaces a good one.
 *
 * @param hasCredentials  whether `jwksAuth` is configured
 * @throws {Unavailable}
 */
export function readPublishedKeySet(answer: Answer, url: string, events: KeyEvents, hasCredentials: boolean): KeySet {
  const { host } = new URL(url)
  if (answer.status === 401 || answer.status === 403)
    throw new Unavailable(
      'jwks',
      `${host} answered ${answer.status} for the key set: ${
        hasCredentials
          ? 'it does not accept the credentials of `jwksAuth`'
          : 'an endpoint that wants credentials needs `jwksUri` and `jwksAuth`'
      }`
    )
  if (answer.status !== 200) {
    const isRedirect = answer.status >= 300 && answer.status < 400
    const cure = isRedirect ? ': set `jwksUri` to the address that has the keys' : ''
    throw new Unavailable('jwks', `${host} ${describeStatus(answer.status)} for the key set${cure}`)
  }
  let set: KeySet
  try {
    set = readKeySet(JSON.parse(answer.body), events)
  } catch (cause) {
    const why = cause instanceof TypeError ? `: ${cause.message}` : ''
    throw new Unavailable('jwks', `${host} did not answer with a key set${why}`, { cause })
  }
  if (set.size === 0)
    throw new Unavailable(
      'jwks',
      `${host} published no usable key${set.skipped.length ? ` (${set.skipped.join('; ')})` : ''}${set.otherUse ? ` (${set.otherUse} for another use, such as encryption)` : ''}`
    )
  return set
}
