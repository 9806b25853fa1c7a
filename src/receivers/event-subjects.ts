/**
 * Turns a security event into revocations: which event types revoke earlier tokens (CAEP 1.0 §3, RISC 1.0 §2), and which
 * tokens the subject names (subject identifiers, RFC 9493 §3; complex subjects, SSF 1.0 §3).
 *
 * Does NOT revoke for a subject without `iss` and `sub`, a `jti` or a session: for example, tokens are not looked up by
 * e-mail address.
 *
 * Tests: `test/rfc/rfc8935-set.test.ts`.
 */
import { isName } from '../base/bounds.js'
import { isObject } from '../base/json.js'
import type { Revocation } from '../revocation/revocation.js'
import type { Claims } from '../types.js'
import { beforeOf } from './receiver.js'

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/'
const RISC = 'https://schemas.openid.net/secevent/risc/event-type/'

const REVOKING: ReadonlySet<string> = new Set([
  `${CAEP}session-revoked`,
  `${CAEP}token-claims-change`,
  `${CAEP}credential-change`,
  `${RISC}account-disabled`,
  `${RISC}account-purged`,
  `${RISC}sessions-revoked`
])

/** Maximum identifiers of one subject (`aliases`) that are read; the rest is ignored. */
const MAX_IDENTIFIERS = 32

/** The tokens that a transmitter may revoke. */
export interface Scope {
  readonly tokenIssuers: readonly string[]
  readonly tokensHaveSid: boolean
}

export interface EventFacts {
  readonly type: string
  readonly subject: Claims | undefined
  /** Seconds since the epoch. */
  readonly at: number
}

/** The `sub_id` of the token, or the `subject` of the event, as in earlier drafts. */
export function readSubject(subId: unknown, payload: Claims): Claims | undefined {
  return [subId, payload['subject']].find(isObject)
}

/** Empty for another event type, or for a subject that names none of the transmitter's tokens. */
export function revocationsOf({ type, subject, at }: EventFacts, scope: Scope, now: number): readonly Revocation[] {
  if (!REVOKING.has(type) || subject === undefined) return []
  const before = beforeOf(at, now)
  const { session, user } = subject
  const isComplex = subject['format'] === undefined || subject['format'] === 'complex'
  if (!isComplex) return ofIdentifier(subject, before, scope)
  const ended = isObject(session) ? ofSession(session, before, scope) : []
  if (ended.length > 0 && scope.tokensHaveSid) return ended
  // Access tokens without `sid` match no session, so revoke all tokens of the user. An entry for the session as well would
  // match no token, and each login of a user would fill the memory that all users share.
  const all = isObject(user) ? ofIdentifier(user, before, scope) : []
  return all.length > 0 ? all : ended
}

function ofSession(session: Claims, before: number, scope: Scope): readonly Revocation[] {
  const { format, id } = session
  if (format !== 'opaque') return ofIdentifier(session, before, scope)
  return isName(id) ? scope.tokenIssuers.map((issuer) => ({ issuer, sessionId: id, before })) : []
}

function ofIdentifier(identifier: Claims, before: number, scope: Scope): readonly Revocation[] {
  const { format, iss, sub, jti, identifiers } = identifier
  if (format === 'aliases' && Array.isArray(identifiers))
    return identifiers
      .slice(0, MAX_IDENTIFIERS)
      .filter((one) => isObject(one) && one['format'] !== 'aliases')
      .flatMap((one) => ofIdentifier(one as Claims, before, scope))
  // A transmitter may revoke only tokens of the issuers that it is configured for.
  if (!isName(iss) || !scope.tokenIssuers.includes(iss)) return []
  if (format === 'jwt_id' && isName(jti)) return [{ issuer: iss, jti }]
  return format === 'iss_sub' && isName(sub) ? [{ issuer: iss, subject: sub, before }] : []
}
