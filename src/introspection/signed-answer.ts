/**
 * Reads an introspection answer that the authorization server signed as a JWT, and may have encrypted to us (RFC 9701).
 * The signature proves later what the server answered. If a signed answer was requested, no other is accepted (RFC 9701
 * §8.2): otherwise an attacker on the network could answer that a token is not active.
 *
 * Does NOT check the claims about the token: the caller checks them, as it does for an unsigned answer.
 *
 * Tests: `test/rfc/rfc9701-signed-introspection.test.ts`.
 */
import { isObject } from '../base/json.js'
import { InvalidToken, Misconfigured, TooManyRequests, Unavailable } from '../errors/errors.js'
import type { Answer } from '../http/exchange.js'
import type { Issuer } from '../issuer/issuer.js'
import { isAbsent } from '../jwt/claim-places.js'
import { MAX_IAT_AHEAD } from '../jwt/claims.js'
import { isJwe, isMediaType } from '../jwt/compact.js'
import type { Decrypt } from '../jwt/decryption.js'
import {
  readUnverifiedClaims,
  readUnverifiedJwt,
  type UnverifiedJwt,
  verifyIssuerSignature
} from '../jwt/verify-jwt.js'
import type { VerifySignature } from '../jwt/verify-signature.js'
import type { Claims } from '../types.js'

export const SIGNED_ANSWER = 'application/token-introspection+jwt'

export interface SignedAnswerMeans {
  /** An accepted `aud` of an answer, besides the client identifier. */
  readonly resource: string
  readonly now: () => number
  /** Seconds by which `exp` and `nbf` may be missed. */
  readonly clockTolerance: number
  readonly verifySignature: VerifySignature
  readonly decrypt: Decrypt
}

/**
 * @param answer an answer with status 200
 * @returns `token_introspection`, which has the members of an unsigned answer (RFC 9701 §5)
 * @throws {Misconfigured} the answer is of another type, by another signer, or for another audience
 * @throws {Unavailable} the keys that verify it cannot be fetched
 */
export async function readSignedAnswer(
  { contentType, body }: Answer,
  issuer: Issuer,
  means: SignedAnswerMeans
): Promise<Claims> {
  const about = `the signed introspection answer of ${issuer.settings.label}`
  if (contentType !== SIGNED_ANSWER)
    throw new Misconfigured(
      `${about} has ${contentType ? `the content type ${contentType}` : 'no content type'} instead of ${SIGNED_ANSWER} (RFC 9701 §5): let the server sign its answers to this client, or turn off \`introspection.signedResponse\``
    )
  try {
    const text = isJwe(body) ? await means.decrypt(body) : body
    const jwt = readUnverifiedJwt(text)
    if (jwt === undefined) throw new Misconfigured(`${about} is not a signed JWT`)
    const members = readMembers(jwt, issuer, means, about)
    await verifyIssuerSignature(jwt, issuer.settings.algorithms, issuer.keySet, means.verifySignature)
    return members
  } catch (cause) {
    if (cause instanceof TooManyRequests)
      throw new Unavailable('jwks', `${about} names an unknown key, and the key set may not be fetched again yet`, {
        retryAfter: cause.retryAfter
      })
    // InvalidToken would refuse the client's token, about which nothing is known yet.
    if (!(cause instanceof InvalidToken)) throw cause
    throw new Misconfigured(`${about} failed verification (${cause.reason}): ${cause.hint}`, { cause })
  }
}

/** Checks everything that RFC 9701 §5 requires except the signature. */
function readMembers(
  jwt: UnverifiedJwt,
  { settings }: Issuer,
  { resource, now, clockTolerance }: SignedAnswerMeans,
  about: string
): Claims {
  const { iss, aud, iat, exp, nbf, token_introspection: members } = readUnverifiedClaims(jwt)
  const time = now()
  const audiences = [settings.introspection?.clientId, resource, settings.introspection?.responseAudience]
  const problem =
    (!isMediaType(jwt.unverifiedHeader['typ'], SIGNED_ANSWER) && 'its `typ` is not token-introspection+jwt') ||
    (iss !== settings.issuer && 'its `iss` is not the issuer') ||
    (!names(aud, audiences) &&
      'its `aud` is neither `introspection.clientId`, nor `resource`, nor `responseAudience`') ||
    (!isUpTo(iat, time + MAX_IAT_AHEAD) && 'it has no `iat`, or one in the future') ||
    (!isAbsent(exp) && !isAfter(exp, time - clockTolerance) && 'it has expired') ||
    (!isAbsent(nbf) && !isUpTo(nbf, time + clockTolerance) && 'it is not valid yet') ||
    (!isObject(members) && 'it has no object `token_introspection`')
  if (problem) throw new Misconfigured(`${about} does not follow RFC 9701 §5: ${problem}`)
  return members as Claims
}

function names(aud: unknown, ours: readonly (string | undefined)[]): boolean {
  return [aud].flat().some((one) => typeof one === 'string' && one !== '' && ours.includes(one))
}

function isUpTo(value: unknown, latest: number): boolean {
  return Number.isFinite(value) && (value as number) <= latest
}

function isAfter(value: unknown, earliest: number): boolean {
  return Number.isFinite(value) && (value as number) > earliest
}
