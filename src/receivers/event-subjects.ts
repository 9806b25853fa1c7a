/**
 * From a security event to revocations: which types say that tokens of before are worth less (CAEP 1.0 §3, RISC 1.0 §2),
 * and whose tokens those are (subject identifiers, RFC 9493 §3; complex subjects, SSF 1.0 §3).
 *
 * Whom it cannot name by `iss`, `sub`, `sid` or `jti` it leaves alone: an e-mail address is in no access token.
 */

import { isObject } from '../base/json.js'
import type { Revocation } from '../revocation/revocation.js'
import type { Claims } from '../types.js'
import { beforeOf, isName } from './receiver.js'

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

/** Identifiers of one subject (`aliases`) that are looked at. */
const MAX_IDENTIFIERS = 32

/** What a transmitter may speak about. */
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

/** `sub_id` of the token, or `subject` of the event, where earlier drafts had it. */
export function readSubject(subId: unknown, payload: Claims): Claims | undefined {
  return [subId, payload['subject']].find(isObject)
}

/** None for an event of another type, or about nobody whose tokens these could be. */
export function revocationsOf({ type, subject, at }: EventFacts, scope: Scope, now: number): readonly Revocation[] {
  if (!REVOKING.has(type) || subject === undefined) return []
  const before = beforeOf(at, now)
  const { session, user } = subject
  const isComplex = subject['format'] === undefined || subject['format'] === 'complex'
  if (!isComplex) return ofIdentifier(subject, before, scope)
  const ended = isObject(session) ? ofSession(session, before, scope) : []
  if (ended.length > 0 && scope.tokensHaveSid) return ended
  // Access tokens without `sid` do not tell of which session they are: then it is all of the user's. The session beside
  // would match none, and each login of one user would take up room of everybody's.
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
  // A transmitter is heard about the issuers it was configured for, and about nobody else's users.
  if (!isName(iss) || !scope.tokenIssuers.includes(iss)) return []
  if (format === 'jwt_id' && isName(jti)) return [{ issuer: iss, jti }]
  return format === 'iss_sub' && isName(sub) ? [{ issuer: iss, subject: sub, before }] : []
}
