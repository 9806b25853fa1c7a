// @ts-check
/**
 * The checks that a resource server makes, in their order, and which of them a refusal came from: what it passed is
 * before, what it did not get to is after. For people who want to see them; the package decides without it.
 */

/** @typedef {{ name: string, standard: string, reasons: string[] }} Check */
/** @typedef {{ name: string, standard: string, verdict: 'passed' | 'failed' | 'not reached' }} Verdict */

/** @type {Check[]} */
const REQUEST = [
  check('One access token came, in the Authorization field', 'RFC 6750 §2.1', [
    'credentials_missing',
    'malformed_authorization',
    'multiple_credentials'
  ])
]

/** @type {Check[]} */
const JWT = [
  check('It is built like a JWT', 'RFC 7515 §3.1', ['malformed', 'decryption', 'not_encrypted']),
  check('Its issuer is one that this API trusts', 'RFC 9068 §4', ['issuer']),
  check('Its algorithm is one that this API allows', 'RFC 8725 §3.1', ['algorithm', 'critical_header']),
  check('It is an access token, and no other kind', 'RFC 9068 §4', ['type']),
  check('It has the claims that it needs', 'RFC 9068 §2.2', ['claim']),
  check('It is for this API', 'RFC 9068 §4, RFC 8707 §2', ['audience']),
  check('It is in time', 'RFC 7519 §4.1', ['expired', 'not_yet_valid']),
  check('The issuer publishes the key that it names', 'RFC 7517 §4', ['unknown_key']),
  check('Its signature is good', 'RFC 7515 §5.2', ['signature'])
]

/** @type {Check[]} */
const OPAQUE = [
  check('The authorization server calls it active', 'RFC 7662 §2.2', ['malformed', 'inactive']),
  check('It is an access token, and no other kind', 'RFC 7662 §4', ['type']),
  check('It says what it must', 'RFC 7662 §2.2', ['claim']),
  check('Its issuer is the one that was asked', 'RFC 7662 §2.2', ['issuer']),
  check('It is for this API', 'RFC 7662 §4', ['audience']),
  check('It is in time', 'RFC 7662 §4', ['expired', 'not_yet_valid'])
]

/** @type {Check[]} */
const BINDING = [
  check('It came as it must: bound tokens with proof, others without', 'RFC 9449 §7, RFC 8705 §3', [
    'dpop_downgrade',
    'dpop_unbound',
    'certificate_binding',
    'confirmation_unknown'
  ])
]

/** @type {Check[]} */
const PROOF = [
  check('A proof came with it, built as a proof is', 'RFC 9449 §4.3', [
    'proof_missing',
    'proof_multiple',
    'proof_malformed',
    'proof_claim',
    'proof_type',
    'proof_algorithm',
    'proof_key'
  ]),
  check('The proof was signed by its own key', 'RFC 9449 §4.3', ['proof_signature']),
  check('The proof is for this request', 'RFC 9449 §4.3', ['proof_method', 'proof_target']),
  check('The proof is fresh', 'RFC 9449 §4.3, §8', ['proof_freshness', 'proof_nonce']),
  check('The proof is for this token', 'RFC 9449 §4.3', ['proof_token']),
  check('The token is bound to the key of the proof', 'RFC 9449 §6', ['dpop_binding']),
  check('The proof was not used before', 'RFC 9449 §11.1', ['proof_replayed'])
]

/** @type {Check[]} */
const POLICY = [
  check('It was not revoked since', 'RFC 7009', ['revoked', 'status']),
  check('It has the scopes that this route needs', 'RFC 6750 §3.1', ['insufficient_scope'])
]

/** For a JWT, which nobody else was asked about before. @type {Check[]} */
const FRESH = [check('The authorization server calls it active, asked just now', 'RFC 7662 §2.2', ['inactive'])]

/**
 * @param {object} request
 * @param {string | undefined} request.authorization the field's value
 * @param {boolean} [request.fresh] the route asks the authorization server each time
 * @param {string | null} reason of the refusal; null where there was none
 * @returns {Verdict[]} all passed up to the one that failed; for a refusal that is none of these, none is told
 */
export function verdicts({ authorization = '', fresh = false }, reason) {
  const [, scheme = '', token = ''] = /^(\S+) +(\S+)$/.exec(authorization) ?? []
  const isJwt = token.split('.').length === 3
  const all = [
    ...REQUEST,
    ...(isJwt ? JWT : OPAQUE),
    ...BINDING,
    ...(scheme.toLowerCase() === 'dpop' ? PROOF : []),
    ...POLICY,
    ...(fresh && isJwt ? FRESH : [])
  ]
  const failed = reason === null ? all.length : all.findIndex(({ reasons }) => reasons.includes(reason))
  if (failed < 0) return []
  return all.map(({ name, standard }, i) => ({ name, standard, verdict: verdictOf(i - failed) }))
}

/** @param {number} distance from the check that failed */
function verdictOf(distance) {
  if (distance === 0) return 'failed'
  return distance < 0 ? 'passed' : 'not reached'
}

/** @param {string} name @param {string} standard @param {string[]} reasons */
function check(name, standard, reasons) {
  return { name, standard, reasons }
}
