/**
 * RFC 9701: an introspection answer as a JWT, signed by the authorization server and perhaps encrypted to us, so that
 * what it said can be proved later. Where one was asked for, nothing else is taken (RFC 9701 §8.2): unsigned, "not
 * active" would be anybody's to say.
 *
 * Does NOT look at what the answer says of the token: that is as trustworthy as any other introspection answer, and is
 * checked as one.
 */

import { InvalidToken, Misconfigured, TooManyRequests, Unavailable } from '../errors/errors.js'
import type { Answer } from '../http/exchange.js'
import type { Issuer } from '../issuer/issuer.js'
import { isAbsent } from '../jwt/claim-places.js'
import { isJwe, isMediaType } from '../jwt/compact.js'
import type { Decrypt } from '../jwt/decryption.js'
import { readUnverifiedJwt, type UnverifiedJwt, verifyIssuerSignature } from '../jwt/verify-jwt.js'
import type { VerifySignature } from '../jwt/verify-signature.js'
import type { Claims } from '../types.js'

export const SIGNED_ANSWER = 'application/token-introspection+jwt'

/** Seconds that `iat` may lie ahead: clocks differ. */
const MAX_IAT_AHEAD = 60

export interface SignedAnswerMeans {
  /** What an answer may be for, beside the client. */
  readonly resource: string
  readonly now: () => number
  /** Seconds. */
  readonly clockTolerance: number
  readonly verifySignature: VerifySignature
  readonly decrypt: Decrypt
}

/**
 * @param answer status 200
 * @returns `token_introspection`: what an unsigned answer would have had as its members (RFC 9701 §5)
 * @throws {Misconfigured} an answer of another kind, by another signer, for somebody else
 * @throws {Unavailable} the keys to verify it with cannot be had
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
    // A refusal would be about the client's token, of which nothing is known yet.
    if (!(cause instanceof InvalidToken)) throw cause
    throw new Misconfigured(`${about} failed verification (${cause.reason}): ${cause.hint}`, { cause })
  }
}

/** All of RFC 9701 §5 but the signature. */
function readMembers(
  jwt: UnverifiedJwt,
  { settings }: Issuer,
  { resource, now, clockTolerance }: SignedAnswerMeans,
  about: string
): Claims {
  const { iss, aud, iat, exp, nbf, token_introspection: members } = jwt.unverifiedClaims()
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

function isObject(value: unknown): value is Claims {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
