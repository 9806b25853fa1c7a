/**
 * Shared by the receivers of events about tokens: a request and an answer without a framework, the senders with their keys,
 * and checks of claims. A sender's keys are fetched, cached and refreshed like those of an issuer of access tokens.
 *
 * Does NOT read events: see `security-events.ts` and `logout-token.ts`.
 *
 * Tests: `test/rfc/rfc8935-set.test.ts`.
 */

import { Problems } from '../base/options/problems.js'
import { InvalidToken, TooManyRequests, Unavailable } from '../errors/errors.js'
import type { Issuer } from '../issuer/issuer.js'
import type { IssuerOptions } from '../issuer/settings.js'
import { readIssuerOptions } from '../issuer/settings.js'
import type { SignatureAlgorithm } from '../jwt/algorithms.js'
import { MAX_IAT_AHEAD } from '../jwt/claims.js'
import { isMediaType } from '../jwt/compact.js'
import type { JsonWebKeySet } from '../jwt/key-set.js'
import {
  readUnverifiedClaims,
  readUnverifiedJwt,
  type UnverifiedJwt,
  verifyIssuerSignature
} from '../jwt/verify-jwt.js'
import { borrow, type Internals } from '../server/internals.js'
import type { Claims } from '../types.js'

/** An event as HTTP delivered it. */
export interface ReceivedRequest {
  readonly method: string
  /** The field as received. */
  readonly contentType: string | undefined
  /** The `Authorization` field as received. */
  readonly authorization?: string | undefined
  /** The whole body, as text. Read at most 65,536 bytes of a request: a longer text is not an event. */
  readonly body: string
}

/** The answer of a receiver to the sender. */
export interface ReceiverAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Empty, or JSON. */
  readonly body: string
}

/** Takes an event and answers. Rejects only for a bug, never because of the request. */
export type Receiver = (request: ReceivedRequest) => Promise<ReceiverAnswer>

/** Where this package finds the keys of a sender. */
export interface SenderKeyOptions {
  /** The sender's keys: nothing is fetched. Excludes `jwksUri`. */
  readonly jwks?: JsonWebKeySet
  /** URL of the sender's key set, instead of the `jwks_uri` in its metadata. */
  readonly jwksUri?: string
  /** URL of the sender's metadata, instead of the well-known URL. */
  readonly metadataUrl?: string
  /** Default: every {@link SignatureAlgorithm}. */
  readonly algorithms?: readonly SignatureAlgorithm[]
}

/** Maximum bytes of a body: adapters refuse a longer one. */
export const MAX_EVENT_LENGTH: number = 64 * 1024

/** A party that may send events, and the audience its events must have. */
export interface Sender {
  readonly issuer: string
  readonly audience: ReadonlySet<string>
  /** @throws {InvalidToken} not signed by this sender; @throws {Unavailable | Misconfigured} its keys cannot be fetched */
  verify(jwt: UnverifiedJwt): Promise<void>
}

export interface Senders<S> {
  readonly internals: Internals
  readonly byIssuer: ReadonlyMap<string, S & Sender>
}

/**
 * Reads the list of senders, and creates an issuer for the keys of each.
 *
 * @param api     the result of `resourceServer()`
 * @param caller  the public function, for messages: `securityEventReceiver()`
 * @param option  the name of the list, for messages
 * @param read    reads an entry: the receiver's own settings of the sender, and the options for its keys
 * @throws {TypeError} listing every problem
 */
export function createSenders<Entry extends { readonly issuer: string }, S>(
  api: object,
  caller: string,
  option: string,
  entries: readonly Entry[],
  read: (
    entry: Entry,
    path: string,
    problems: Problems,
    internals: Internals
  ) => { readonly own: S; readonly keys: IssuerOptions }
): Senders<S> {
  const internals = borrow(api, caller)
  const problems = new Problems(caller)
  const byIssuer = new Map<string, S & Sender>()
  const named = new Set<string>()
  for (const [i, entry] of [entries].flat().entries()) {
    const path = `${option}[${i}]`
    if (!problems.object(entry, path)) continue
    const { own, keys } = read(entry as unknown as Entry, path, problems, internals)
    const { resource, insecureHosts } = internals
    const means = { decrypts: false, dispatches: false, insecureHosts }
    const settings = readIssuerOptions(keys, path, resource, problems, means)
    if (named.has(settings.issuer))
      problems.add(path, 'has the same issuer as an earlier entry', 'list each issuer once')
    named.add(settings.issuer)
    if (settings.audience === null)
      problems.add(path, 'accepts events for any audience', 'set `audience` to a name of this API')
    if (problems.any) continue
    const issuer = internals.createIssuer(settings)
    byIssuer.set(settings.issuer, {
      ...own,
      issuer: settings.issuer,
      audience: settings.audience as ReadonlySet<string>,
      verify: (jwt) => verifyBy(issuer, jwt, internals)
    })
  }
  if (byIssuer.size === 0 && !problems.any)
    problems.add(option, 'is empty', 'name at least one sender: without one, every event is refused')
  if (problems.any) throw problems.error()
  return { internals, byIssuer }
}

async function verifyBy(issuer: Issuer, jwt: UnverifiedJwt, { verifySignature }: Internals): Promise<void> {
  try {
    await verifyIssuerSignature(jwt, issuer.settings.algorithms, issuer.keySet, verifySignature)
  } catch (cause) {
    // Senders do not retry an event called invalid, and do not expect a 429. While the key set may not be refetched, an
    // unknown key is an outage (503), not an invalid signature.
    if (!(cause instanceof TooManyRequests)) throw cause
    throw new Unavailable('jwks', 'a key is unknown, and the key set may not be fetched again yet', {
      retryAfter: cause.retryAfter
    })
  }
}

/**
 * Reports issuers that this server does not accept: their events would revoke nothing, and the operator would not notice.
 *
 * @param tokenIssuers issuers whose tokens the sender may revoke
 */
export function requireTokenIssuers(
  tokenIssuers: readonly string[],
  option: string,
  problems: Problems,
  { accepts }: Internals
): void {
  if (!tokenIssuers.every(accepts))
    problems.add(option, 'names an issuer that this server does not accept', 'write exactly the `iss` of the tokens')
}

/** True if the field `Content-Type` has this media type, with any parameters. */
export function hasMediaType(contentType: string | undefined, expected: `application/${string}`): boolean {
  const type = contentType?.split(';')[0]?.trim() ?? ''
  return type.includes('/') && isMediaType(type, expected)
}

/** Splits a compact JWS whose claims are an object; undefined for any other text, or a longer one. Does NOT verify it. */
export function readEvent(text: string): { readonly jwt: UnverifiedJwt; readonly claims: Claims } | undefined {
  try {
    const jwt = text.length <= MAX_EVENT_LENGTH ? readUnverifiedJwt(text) : undefined
    return jwt && { jwt, claims: readUnverifiedClaims(jwt) }
  } catch (error) {
    if (error instanceof InvalidToken) return undefined
    throw error
  }
}

/** True if `aud` (a string, or a list of strings) contains one of our audiences. */
export function isFor(aud: unknown, audience: ReadonlySet<string>): boolean {
  return [aud].flat().some((one) => typeof one === 'string' && audience.has(one))
}

/** True for a time up to now, with {@link MAX_IAT_AHEAD} seconds of tolerance. */
export function hasCome(time: unknown, now: number): time is number {
  return Number.isFinite(time) && (time as number) <= now + MAX_IAT_AHEAD
}

/**
 * The `before` of a revocation for an event at `at`. An integer does not order the tokens and the event within that second,
 * so the whole second counts as before. A time in the future is replaced by now.
 */
export function beforeOf(at: number, now: number): number {
  const time = hasCome(at, now) ? at : now
  return Number.isInteger(time) ? time + 1 : time
}
