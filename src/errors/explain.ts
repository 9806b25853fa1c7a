/**
 * Lists the checks of a resource server in order, and marks the one that a refusal came from: earlier checks passed,
 * later ones were not reached. For display and logs; no decision uses it.
 *
 * Does NOT verify anything.
 */
export interface ExplainedCheck {
  /** The condition that the check requires. */
  readonly name: string
  /** The standard that defines it. */
  readonly standard: string
  readonly verdict: 'passed' | 'failed' | 'not reached'
}

/** Known facts about the request, besides its outcome. */
export interface ExplainedRequest {
  /** The value of `Authorization`. Only the scheme and the token's number of segments are read. */
  readonly authorization?: string | undefined
  /** True if the route uses `fresh()`, so the authorization server is asked each time. */
  readonly fresh?: boolean
}

interface Check {
  readonly name: string
  readonly standard: string
  readonly reasons: readonly string[]
}

const REQUEST: readonly Check[] = [
  check('The request has one access token, in the Authorization field', 'RFC 6750 §2.1', [
    'credentials_missing',
    'malformed_authorization',
    'multiple_credentials'
  ])
]

const JWT: readonly Check[] = [
  check('The token is a JWT', 'RFC 7515 §3.1', ['malformed', 'decryption', 'not_encrypted']),
  check('The API trusts its issuer', 'RFC 9068 §4', ['issuer']),
  check('The API allows its algorithm', 'RFC 8725 §3.1', ['algorithm', 'critical_header']),
  check('It is an access token, not another kind of token', 'RFC 9068 §4', ['type']),
  check('It has the required claims', 'RFC 9068 §2.2', ['claim']),
  check('It is for this API', 'RFC 9068 §4, RFC 8707 §2', ['audience']),
  check('It is valid at this time', 'RFC 7519 §4.1', ['expired', 'not_yet_valid']),
  check('The issuer publishes its key', 'RFC 7517 §4', ['unknown_key']),
  check('Its signature is valid', 'RFC 7515 §5.2', ['signature'])
]

const ENCRYPTED: readonly Check[] = [
  check('It is encrypted to a key of this API', 'RFC 7516 §5.2, RFC 9068 §4', ['decryption', 'type', 'malformed'])
]

const OPAQUE: readonly Check[] = [
  check('The authorization server says that it is active (`introspection`)', 'RFC 7662 §2.2', [
    'malformed',
    'decryption',
    'inactive'
  ]),
  check('It is an access token, not another kind of token', 'RFC 7662 §4', ['type']),
  check('The answer has the required members', 'RFC 7662 §2.2', ['claim']),
  check('Its issuer is the authorization server that was asked', 'RFC 7662 §2.2', ['issuer']),
  check('It is for this API', 'RFC 7662 §4', ['audience']),
  check('It is valid at this time', 'RFC 7662 §4', ['expired', 'not_yet_valid'])
]

const BINDING: readonly Check[] = [
  check('A bound token comes with its proof, another token without one', 'RFC 9449 §7, RFC 8705 §3', [
    'dpop_downgrade',
    'dpop_unbound',
    'certificate_binding',
    'confirmation_unknown'
  ])
]

const PROOF: readonly Check[] = [
  check('It comes with one well-formed proof', 'RFC 9449 §4.3', [
    'proof_missing',
    'proof_multiple',
    'proof_malformed',
    'proof_claim',
    'proof_type',
    'proof_algorithm',
    'proof_key'
  ]),
  check('The key in the proof signed it', 'RFC 9449 §4.3', ['proof_signature']),
  check('The proof is for this request', 'RFC 9449 §4.3', ['proof_method', 'proof_target']),
  check('The proof is fresh', 'RFC 9449 §4.3, §8', ['proof_freshness', 'proof_nonce']),
  check('The proof is for this token', 'RFC 9449 §4.3', ['proof_token']),
  check('The token is bound to the key of the proof', 'RFC 9449 §6', ['dpop_binding']),
  check('The proof was not used before', 'RFC 9449 §11.1', ['proof_replayed'])
]

const POLICY: readonly Check[] = [
  check('It was not revoked', 'RFC 7009', ['revoked', 'status']),
  check('It meets the requirements of the route', 'RFC 6750 §3.1, RFC 9470 §3', [
    'insufficient_scope',
    'insufficient_role',
    'insufficient_authentication',
    'insufficient_authorization_details',
    'forbidden'
  ])
]

/** For a JWT, which was not introspected earlier. */
const FRESH: readonly Check[] = [
  check('The authorization server says now that it is active', 'RFC 7662 §2.2', ['inactive'])
]

/**
 * Explains how far a request got: the checks that passed, the one that failed, and those that were not reached.
 *
 * @param reason `reason` of the refusal; null if the request was accepted
 * @returns the checks for such a request in order; empty for an error that is not a refusal, such as an outage or a
 * wrong setting
 */
export function explainChecks(
  { authorization = '', fresh = false }: ExplainedRequest,
  reason: string | null
): readonly ExplainedCheck[] {
  const [, scheme = '', token = ''] = /^(\S+) +(\S+)$/.exec(authorization) ?? []
  const segments = token.split('.').length
  const isJwt = segments === 3
  // A token encrypted to another party was not introspected.
  const isUnreadable = segments === 5 && (reason === 'type' || reason === 'decryption')
  const all = [
    ...REQUEST,
    ...(isJwt ? JWT : []),
    ...(isUnreadable ? ENCRYPTED : isJwt ? [] : OPAQUE),
    ...BINDING,
    ...(scheme.toLowerCase() === 'dpop' ? PROOF : []),
    ...POLICY,
    ...(fresh && isJwt ? FRESH : [])
  ]
  const failed = reason === null ? all.length : all.findIndex(({ reasons }) => reasons.includes(reason))
  if (failed < 0) return []
  return all.map(({ name, standard }, i) => ({ name, standard, verdict: verdictOf(i - failed) }))
}

/** @param distance from the failed check */
function verdictOf(distance: number): ExplainedCheck['verdict'] {
  if (distance === 0) return 'failed'
  return distance < 0 ? 'passed' : 'not reached'
}

function check(name: string, standard: string, reasons: readonly string[]): Check {
  return { name, standard, reasons }
}
