/**
 * OpenID Connect Back-Channel Logout 1.0 §2.4 to §2.8: the provider tells, by a logout token, that a user's session has
 * ended, and the access tokens of before are refused. For an API whose registration at the provider has a
 * `backchannel_logout_uri`.
 *
 * Does NOT end sessions of a browser: this package has none.
 */

import { isObject } from '../base/json.js'
import type { Problems } from '../base/problems.js'
import { InvalidToken, ResourceServerError, Unavailable } from '../errors/errors.js'
import type { IssuerOptions } from '../issuer/settings.js'
import { isMediaType } from '../jwt/compact.js'
import type { UnverifiedJwt } from '../jwt/verify-jwt.js'
import type { Revocation } from '../revocation/revocation.js'
import { RevocationsFull } from '../revocation/revocations.js'
import type { ResourceServer } from '../server/interface.js'
import type { Internals } from '../server/internals.js'
import type { Claims } from '../types.js'
import {
  beforeOf,
  createSenders,
  hasCome,
  hasMediaType,
  isFor,
  isName,
  RETRY_AFTER,
  type Receiver,
  type ReceiverAnswer,
  readEvent,
  requireTokenIssuers,
  type Sender,
  type SenderKeyOptions
} from './receiver.js'

/** A provider whose logouts are heard. */
export interface LogoutIssuerOptions extends SenderKeyOptions {
  /** `iss` of its logout tokens and of the access tokens that they end. */
  readonly issuer: string
  /** Our client identifier at the provider: what `aud` of its logout tokens must hold. */
  readonly clientId: string | readonly string[]
  /** True where access tokens have a claim `sid`: the end of one session leaves a user's others alone. Default false: it revokes all of the user's. */
  readonly tokensHaveSid?: boolean
  /** Accept logout tokens without `exp`, as drafts of before had them, for 300 s after `iat`. Default false. */
  readonly acceptMissingExp?: boolean
}

/** Who may send logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4). */
export interface LogoutTokenOptions {
  readonly issuers: readonly LogoutIssuerOptions[]
}

interface Own {
  readonly tokensHaveSid: boolean
  readonly acceptMissingExp: boolean
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** Seconds since `iat` for which a token without `exp` is taken. */
const FRESH_FOR = 300
/** Seconds by which `exp` may be missed. */
const TOLERANCE = 30

class Rejected extends Error {}

/**
 * A receiver of logout tokens for this API. Mount it with the `backchannelLogout` of an adapter, behind no `protect`.
 *
 * @throws {TypeError} listing every problem of the options
 */
export function logoutTokenReceiver(api: ResourceServer<never>, options: LogoutTokenOptions): Receiver {
  const { internals, byIssuer } = createSenders(api, 'logoutTokenReceiver()', 'issuers', options.issuers, readIssuer)
  return async (request) => {
    if (request.method !== 'POST') return { ...answer(405), headers: { Allow: 'POST' } }
    try {
      const token = readForm(request.contentType, request.body)
      const event = readEvent(token)
      if (event === undefined) throw new Rejected('logout_token is not a signed JWT')
      const issuer = byIssuer.get(event.claims['iss'] as string)
      if (issuer === undefined) throw new Rejected('The issuer is not accepted')
      const now = internals.now()
      requireLogout(event, issuer, now)
      await issuer.verify(event.jwt)
      await internals.revoke(revocationsOf(event.claims, issuer, now))
      return answer(200)
    } catch (error) {
      return answerTo(error)
    }
  }
}

/** The one parameter `logout_token` (§2.5). */
function readForm(contentType: string | undefined, body: string): string {
  if (!hasMediaType(contentType, 'application/x-www-form-urlencoded'))
    throw new Rejected('The content type is not application/x-www-form-urlencoded')
  const [token, ...others] = new URLSearchParams(body).getAll('logout_token')
  if (token === undefined || others.length > 0) throw new Rejected('One logout_token is required')
  return token
}

/** §2.6, in its order; the signature comes after. */
function requireLogout(
  { jwt, claims }: { readonly jwt: UnverifiedJwt; readonly claims: Claims },
  { audience, acceptMissingExp }: Own & Sender,
  now: number
): void {
  const { typ } = jwt.unverifiedHeader
  const { aud, iat, exp, nbf, jti, sub, sid, events, nonce } = claims
  const isLogout = isObject(events) && isObject(events[EVENT])
  const problem =
    (!isFor(aud, audience) && 'The audience is not this client') ||
    (!hasCome(iat, now) && '`iat` is not a time that has come') ||
    (exp === undefined && !acceptMissingExp && '`exp` is required') ||
    (!isFresh(exp, iat as number, now) && 'The logout token has expired') ||
    (nbf !== undefined && !hasCome(nbf, now) && '`nbf` is not a time that has come') ||
    (!(isName(sub) || isName(sid)) && '`sub` or `sid` is required') ||
    (![sub, sid].every((one) => one === undefined || isName(one)) && '`sub` or `sid` is not a text') ||
    (!isName(jti) && '`jti` is required') ||
    (!isLogout && '`events` does not say that it is a logout') ||
    (nonce !== undefined && '`nonce` must not be there') ||
    (!isLogoutType(typ) && '`typ` is not logout+jwt')
  if (problem) throw new Rejected(problem)
}

/** The type is recommended (§2.4), and `events` is what tells it from other tokens where it is not followed. */
function isLogoutType(typ: unknown): boolean {
  return typ === undefined || isMediaType(typ, 'application/logout+jwt') || isMediaType(typ, 'application/jwt')
}

function isFresh(exp: unknown, iat: number, now: number): boolean {
  if (exp === undefined) return now < iat + FRESH_FOR + TOLERANCE
  return Number.isFinite(exp) && now < (exp as number) + TOLERANCE
}

function revocationsOf({ iat, sub, sid }: Claims, { issuer, tokensHaveSid }: Own & Sender, now: number): Revocation[] {
  const before = beforeOf(iat as number, now)
  // Access tokens without `sid` do not tell of which session they are: then it is all of the user's. The session beside
  // would match none, and each login of one user would take up room of everybody's.
  const isSession = isName(sid) && (tokensHaveSid || !isName(sub))
  return [isSession ? { issuer, sessionId: sid, before } : { issuer, subject: sub as string, before }]
}

function answer(status: number): ReceiverAnswer {
  return { status, headers: { 'Cache-Control': 'no-store' }, body: '' }
}

/**
 * §2.8: 400 for what is wrong with the request. What is wrong with us is a 503, though the section knows no other answer
 * for a logout that failed: a 400 for good would be the end of it. @throws what is a bug
 */
function answerTo(error: unknown): ReceiverAnswer {
  if (error instanceof Rejected) return reject('invalid_request', error.message)
  if (error instanceof InvalidToken) return reject('invalid_request', 'The signature could not be verified')
  const retryAfter = error instanceof Unavailable ? error.retryAfter : RETRY_AFTER
  if (!(error instanceof ResourceServerError || error instanceof RevocationsFull)) throw error
  return { ...answer(503), headers: { 'Retry-After': String(retryAfter), 'Cache-Control': 'no-store' } }
}

function reject(error: string, description: string): ReceiverAnswer {
  return {
    status: 400,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify({ error, error_description: description })
  }
}

const OPTIONS = [
  'issuer',
  'clientId',
  'tokensHaveSid',
  'acceptMissingExp',
  'jwks',
  'jwksUri',
  'metadataUrl',
  'algorithms'
]

function readIssuer(
  entry: LogoutIssuerOptions,
  path: string,
  problems: Problems,
  internals: Internals
): { readonly own: Own; readonly keys: IssuerOptions } {
  problems.unknownKeys(entry, `${path}.`, OPTIONS)
  const { issuer, clientId, tokensHaveSid, acceptMissingExp, ...keys } = entry
  requireTokenIssuers([issuer], `${path}.issuer`, problems, internals)
  const audience = problems.names([clientId].flat(), `${path}.clientId`)
  return {
    own: {
      tokensHaveSid: problems.optional<boolean>(tokensHaveSid, `${path}.tokensHaveSid`, 'boolean') ?? false,
      acceptMissingExp: problems.optional<boolean>(acceptMissingExp, `${path}.acceptMissingExp`, 'boolean') ?? false
    },
    keys: { issuer, audience, ...keys }
  }
}
