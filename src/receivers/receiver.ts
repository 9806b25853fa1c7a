/**
 * What receivers of events about tokens have in common: a request without its framework, an answer, and the keys of
 * whoever may send one. Keys are fetched, remembered and renewed as those of an issuer of access tokens are.
 *
 * Does NOT read events: see `security-events.ts` and `logout-token.ts`.
 */

import { Problems } from '../base/problems.js'
import { InvalidToken, TooManyRequests, Unavailable } from '../errors/errors.js'
import type { Issuer } from '../issuer/issuer.js'
import type { IssuerOptions } from '../issuer/settings.js'
import { readIssuerOptions } from '../issuer/settings.js'
import type { SignatureAlgorithm } from '../jwt/algorithms.js'
import { isMediaType } from '../jwt/compact.js'
import type { JsonWebKeySet } from '../jwt/key-set.js'
import { readUnverifiedJwt, type UnverifiedJwt, verifyIssuerSignature } from '../jwt/verify-jwt.js'
import { borrow, type Internals } from '../server/internals.js'
import type { Claims } from '../types.js'

/** An event as HTTP delivered it. */
export interface ReceivedRequest {
  readonly method: string
  /** The field as received. */
  readonly contentType: string | undefined
  /** The `Authorization` field as received. */
  readonly authorization?: string | undefined
  /** The whole body, as text. */
  readonly body: string
}

/** What a receiver answers its sender. */
export interface ReceiverAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Empty, or JSON. */
  readonly body: string
}

/** Takes an event and answers. Never rejects for what was sent; only for a bug. */
export type Receiver = (request: ReceivedRequest) => Promise<ReceiverAnswer>

/** Where the keys of a sender are. */
export interface SenderKeyOptions {
  /** The sender's keys, given here: nothing is fetched. Excludes `jwksUri`. */
  readonly jwks?: JsonWebKeySet
  /** Where the sender's keys are, instead of its metadata's `jwks_uri`. */
  readonly jwksUri?: string
  /** Where the sender's metadata is, instead of its well-known place. */
  readonly metadataUrl?: string
  /** Default: every {@link SignatureAlgorithm}. */
  readonly algorithms?: readonly SignatureAlgorithm[]
}

/** Bytes of a body that adapters read; a longer one is refused. */
export const MAX_EVENT_LENGTH: number = 64 * 1024
/** Seconds that `iat` may lie ahead: clocks differ. */
const MAX_IAT_AHEAD = 60
/** Longer names are in no token that is read here. */
const MAX_NAME_LENGTH = 2048
/** Seconds after which a sender should try again, where nothing else says so. */
export const RETRY_AFTER = 30

/** Whoever may send events, and what they must be for. */
export interface Sender {
  readonly issuer: string
  readonly audience: ReadonlySet<string>
  /** @throws {InvalidToken} not signed by it; @throws {Unavailable | Misconfigured} its keys cannot be had */
  verify(jwt: UnverifiedJwt): Promise<void>
}

export interface Senders<S> {
  readonly internals: Internals
  readonly byIssuer: ReadonlyMap<string, S & Sender>
}

/**
 * @param api     what `resourceServer()` returned
 * @param caller  for messages: `securityEventReceiver()`
 * @param option  the name of the list
 * @param read    an entry → what else is to be known of the sender, and its keys' options
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
    // Senders do not retry an event called invalid, and know no 429: while no look may begin, that is an outage.
    if (!(cause instanceof TooManyRequests)) throw cause
    throw new Unavailable('jwks', 'a key is unknown, and the key set was fetched a moment ago', {
      retryAfter: cause.retryAfter
    })
  }
}

/**
 * A name that no token has would revoke nothing, and nobody would notice.
 *
 * @param tokenIssuers whose tokens a sender may revoke
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

/** True for a field `Content-Type` of this media type, whatever its parameters. */
export function hasMediaType(contentType: string | undefined, expected: `application/${string}`): boolean {
  const type = contentType?.split(';')[0]?.trim() ?? ''
  return type.includes('/') && isMediaType(type, expected)
}

/** The parts of a compact JWS, with claims that are an object; else undefined. */
export function readEvent(text: string): { readonly jwt: UnverifiedJwt; readonly claims: Claims } | undefined {
  try {
    const jwt = text.length <= MAX_EVENT_LENGTH ? readUnverifiedJwt(text) : undefined
    return jwt && { jwt, claims: jwt.unverifiedClaims() }
  } catch (error) {
    if (error instanceof InvalidToken) return undefined
    throw error
  }
}

/** True if `aud` (a text, or a list of them) names one of ours. */
export function isFor(aud: unknown, audience: ReadonlySet<string>): boolean {
  return [aud].flat().some((one) => typeof one === 'string' && audience.has(one))
}

/** True for a time that has come, by clocks that differ. */
export function hasCome(time: unknown, now: number): time is number {
  return Number.isFinite(time) && (time as number) <= now + MAX_IAT_AHEAD
}

/** A claim that is an object. */
export function isObject(value: unknown): value is Claims {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A text that can name something a token is about. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH
}

/**
 * The time before which tokens are to be refused for what happened at `at`. Whole seconds say nothing about what came
 * first within one: all of it counts as before. A time that has not come is not believed.
 */
export function beforeOf(at: number, now: number): number {
  const time = hasCome(at, now) ? at : now
  return Number.isInteger(time) ? time + 1 : time
}
