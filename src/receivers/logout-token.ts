/**
 * OpenID Connect Back-Channel Logout 1.0 §2.4 to §2.8: the provider sends a logout token when a user's session has ended,
 * and the access tokens issued before are refused. For an API that is registered at the provider with a
 * `backchannel_logout_uri`.
 *
 * Does NOT end browser sessions: this package has none.
 *
 * Tests: `test/rfc/backchannel-logout.test.ts`.
 */

import { isName } from '../base/bounds.js'
import { isObject } from '../base/json.js'
import type { Problems } from '../base/options/problems.js'
import { requireOptions } from '../base/options/spelling.js'
import { InvalidToken } from '../errors/errors.js'
import type { IssuerOptions } from '../issuer/settings.js'
import { isMediaType } from '../jwt/compact.js'
import type { UnverifiedJwt } from '../jwt/verify-jwt.js'
import type { Revocation } from '../revocation/revocation.js'
import type { ResourceServer } from '../server/interface.js'
import type { Internals } from '../server/internals.js'
import type { Claims } from '../types.js'
import {
  beforeOf,
  createSenders,
  hasCome,
  hasMediaType,
  isFor,
  type Receiver,
  type ReceiverAnswer,
  readEvent,
  requireTokenIssuers,
  type Sender,
  type SenderKeyOptions
} from './receiver.js'
import { badRequest, methodNotAllowed, succeeded, unavailable } from './reply.js'

/** A provider whose logout tokens are accepted. */
export interface LogoutIssuerOptions extends SenderKeyOptions {
  /** `iss` of its logout tokens, and of the access tokens that they revoke. */
  readonly issuer: string
  /** Our client identifier at the provider: `aud` of its logout tokens must contain it, or one of a list. */
  readonly clientId: string | readonly string[]
  /** True if access tokens have a claim `sid`: then a logout revokes one session. Default false: a logout revokes all tokens of the user. */
  readonly tokensHaveSid?: boolean
  /** Accepts logout tokens without `exp`, which earlier drafts allowed, for 300 s after `iat`. Default false. */
  readonly acceptMissingExp?: boolean
}

/** Which providers may send logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4). */
export interface LogoutTokenOptions {
  readonly issuers: readonly LogoutIssuerOptions[]
}

interface Own {
  readonly tokensHaveSid: boolean
  readonly acceptMissingExp: boolean
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** Seconds after `iat` for which a token without `exp` is accepted. */
const FRESH_FOR = 300
/** Seconds by which `exp` may be missed. */
const TOLERANCE = 30

class Rejected extends Error {}

/**
 * Creates a receiver of logout tokens for this API. Mount it with the `backchannelLogout` of an adapter, not behind `protect`.
 *
 * @throws {TypeError} listing every problem of the options
 */
export function logoutTokenReceiver(api: ResourceServer<never>, options: LogoutTokenOptions): Receiver {
  requireOptions('logoutTokenReceiver()', options, { issuers: [] })
  const { internals, byIssuer } = createSenders(api, 'logoutTokenReceiver()', 'issuers', options.issuers, readIssuer)
  return async (request) => {
    if (request.method !== 'POST') return methodNotAllowed()
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
      return succeeded(200)
    } catch (error) {
      return answerTo(error)
    }
  }
}

/** Reads the parameter `logout_token` (§2.5), which must occur exactly once. @throws {Rejected} */
function readForm(contentType: string | undefined, body: string): string {
  if (!hasMediaType(contentType, 'application/x-www-form-urlencoded'))
    throw new Rejected('The content type is not application/x-www-form-urlencoded')
  const [token, ...others] = new URLSearchParams(body).getAll('logout_token')
  if (token === undefined || others.length > 0) throw new Rejected('One logout_token is required')
  return token
}

/** The checks of §2.6, in its order; the signature is verified afterwards. @throws {Rejected} */
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

/** §2.4 only recommends the type. Without it, `events` distinguishes logout tokens from other tokens. */
function isLogoutType(typ: unknown): boolean {
  return typ === undefined || isMediaType(typ, 'application/logout+jwt') || isMediaType(typ, 'application/jwt')
}

function isFresh(exp: unknown, iat: number, now: number): boolean {
  if (exp === undefined) return now < iat + FRESH_FOR + TOLERANCE
  return Number.isFinite(exp) && now < (exp as number) + TOLERANCE
}

function revocationsOf({ iat, sub, sid }: Claims, { issuer, tokensHaveSid }: Own & Sender, now: number): Revocation[] {
  const before = beforeOf(iat as number, now)
  // Access tokens without `sid` match no session, so revoke all tokens of the user. An entry for the session as well would
  // match no token, and each login of a user would fill the memory that all users share.
  const isSession = isName(sid) && (tokensHaveSid || !isName(sub))
  return [isSession ? { issuer, sessionId: sid, before } : { issuer, subject: sub as string, before }]
}

/**
 * §2.8: 400 for a fault of the request. The section has no answer for a failure on our side, but a provider gives up after a
 * 400, and the logout would be lost. So such a failure is a 503.
 *
 * @throws the error itself, if it is a bug
 */
function answerTo(error: unknown): ReceiverAnswer {
  if (error instanceof Rejected) return reject(error.message)
  if (error instanceof InvalidToken) return reject('The signature could not be verified')
  return unavailable(error)
}

function reject(description: string): ReceiverAnswer {
  return badRequest({ error: 'invalid_request', error_description: description })
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
