/**
 * The catalogue of refusals: the description for the client (RFC 6750 §3, fixed words, no data of the request) and
 * advice for the operator. `reason` is stable: logs, metrics and the troubleshooting page use it as a key.
 *
 * Tests: `test/errors/errors.test.ts`.
 */

export interface Entry {
  /** `error_description` on the wire. */
  readonly description: string
  /** For the operator's log: the usual cause, and what to change. */
  readonly hint: string
}

/** Reasons of a 400 `invalid_request` (RFC 6750 §3.1). */
export type RequestReason = 'malformed_authorization' | 'multiple_credentials'

/** Reasons of a 401 `invalid_token` (RFC 6750 §3.1). */
export type TokenReason =
  | 'malformed'
  | 'algorithm'
  | 'critical_header'
  | 'unknown_key'
  | 'signature'
  | 'expired'
  | 'not_yet_valid'
  | 'inactive'
  | 'revoked'
  | 'status'
  | 'issuer'
  | 'audience'
  | 'claim'
  | 'confirmation_unknown'
  | 'type'
  | 'certificate_binding'
  | 'dpop_downgrade'
  | 'dpop_binding'
  | 'dpop_unbound'
  | 'decryption'
  | 'not_encrypted'

/** Reasons of a 401 `invalid_dpop_proof` (RFC 9449 §7.1). */
export type ProofReason =
  | 'proof_missing'
  | 'proof_multiple'
  | 'proof_malformed'
  | 'proof_claim'
  | 'proof_type'
  | 'proof_algorithm'
  | 'proof_key'
  | 'proof_signature'
  | 'proof_method'
  | 'proof_target'
  | 'proof_freshness'
  | 'proof_token'
  | 'proof_replayed'

/** Reasons of a 429: the client used up its own share, or its token cannot be judged yet. */
export type LimitReason = 'key_unknown_yet' | 'replay_share'

const signature = 'The access token signature could not be verified'
const claim = 'The access token has a missing or invalid claim'

/** Reasons of a 400 `invalid_request`. */
export const REQUEST_REASONS: Readonly<Record<RequestReason, Entry>> = {
  malformed_authorization: {
    description: 'Malformed Authorization header',
    hint: 'The `Authorization` field is malformed. The client must send exactly `Authorization: Bearer <token>`: one scheme, one space, one token.'
  },
  multiple_credentials: {
    description: 'Multiple methods used to include access token',
    hint: 'The request has more than one credential: repeated `Authorization` fields, or (with `rejectQueryToken`) a token in the query. Look for a proxy or an HTTP client that adds a second one.'
  }
}

/** Reasons of a 401 `invalid_token`. */
export const TOKEN_REASONS: Readonly<Record<TokenReason, Entry>> = {
  malformed: {
    description: 'The access token is malformed',
    hint: 'The token is not a compact JWS. If this authorization server issues opaque tokens, configure `introspection` for it.'
  },
  algorithm: {
    description: signature,
    hint: 'The token’s `alg` is not in the issuer’s `algorithms`. Add it if the issuer uses it; `none` and symmetric algorithms are never accepted.'
  },
  critical_header: {
    description: signature,
    hint: 'The token’s header has `crit` or `b64`. Neither is accepted in an access token (RFC 7515 §4.1.11, RFC 7797 §7). The authorization server must leave it out.'
  },
  unknown_key: {
    description: signature,
    hint: 'No key of the issuer matches the token’s `kid` and `alg`, even after the key set was fetched again. Check whether the token is from another environment, and whether the key’s `use` is `sig`.'
  },
  signature: {
    description: signature,
    hint: 'A key of the issuer matches, but the signature is wrong: the token was altered, or signed with another key that has the same `kid`.'
  },
  expired: {
    description: 'The access token expired',
    hint: 'The client must get a new token. If the token is new, compare this machine’s clock with the authorization server’s; `clockTolerance` is the leeway in seconds.'
  },
  not_yet_valid: {
    description: 'The access token is not yet valid',
    hint: '`nbf` or `iat` lies in the future: compare this machine’s clock with the authorization server’s.'
  },
  inactive: {
    description: 'The access token is not active',
    hint: 'The authorization server called the token inactive: revoked, expired or unknown. `received: 400` means that it answered 400 without a body, or 400 for this token and 200 for others. Some servers call a token inactive if this API is not in its audience, or if another client got it (Doorkeeper, unless `allow_token_introspection` permits this client).'
  },
  revoked: {
    description: 'The access token is not active',
    hint: 'The token verifies, but was revoked by `api.revoke()`, a security event or a logout, perhaps in another process. The client must get a new token; a token issued after the revocation is accepted.'
  },
  status: {
    description: 'The access token is not active',
    hint: 'The token verifies, but its issuer’s status list marks it invalid (1), suspended (2) or with an unknown status, or has no entry for it. The client must get a new token.'
  },
  issuer: {
    description: 'The access token issuer is not accepted',
    hint: '`iss` must be exactly equal to a configured `issuer`, including a trailing slash. Write `issuer` exactly as in the tokens. Use `acceptedIssuers` if the same keys sign under a second name.'
  },
  audience: {
    description: 'The access token audience is not accepted',
    hint: '`aud` does not contain an identifier of this API. Let the client request a token for this `resource` (RFC 8707), or list in `audience` the identifier that your authorization server uses.'
  },
  claim: {
    description: claim,
    hint: 'A claim that RFC 9068 §2.2 requires is missing, or a claim has the wrong type. `tokenProfile: "legacy"` or `requiredClaims` changes which claims are required.'
  },
  confirmation_unknown: {
    description: claim,
    hint: 'The token is bound to a key by a `cnf` member that this package cannot check, so it must not be accepted as a bearer token (RFC 7800 §3.1). Let the authorization server bind by `jkt` (DPoP) or `x5t#S256` (certificate).'
  },
  type: {
    description: 'The token is not an access token',
    hint: '`typ` must be `at+jwt` (RFC 9068 §4). If the client sent an ID token, it must send the access token instead. If your authorization server writes `JWT` or no `typ`, set `tokenProfile: "legacy"`; then the claims must show that the token is an access token.'
  },
  certificate_binding: {
    description: 'The access token is bound to a different client certificate',
    hint: 'The token is bound to a client certificate (`cnf.x5t#S256`, RFC 8705 §3), but the client used another certificate, or the certificate did not reach this server. A server that terminates TLS itself needs `requestCert: true, rejectUnauthorized: false`; behind a proxy that terminates TLS, configure `clientCertificate`. Or the token is not bound to a key, and `requireSenderConstrained` requires that.'
  },
  dpop_downgrade: {
    description: 'DPoP-bound access token used with the Bearer scheme',
    hint: 'The token has `cnf.jkt`, so it is accepted only with a DPoP proof (RFC 9449 §7.2). The client must send `Authorization: DPoP <token>` and a `DPoP` field.'
  },
  dpop_binding: {
    description: 'Invalid DPoP key binding',
    hint: 'The key in the proof is not the key that the token is bound to (`cnf.jkt`, RFC 9449 §6.1): another client uses this token, or the client created a new key after it got the token.'
  },
  dpop_unbound: {
    description: 'The access token is not DPoP-bound',
    hint: 'The token came with the scheme DPoP but has no `cnf.jkt`: the client did not send a proof to the token endpoint, or the authorization server ignored it (RFC 9449 §5).'
  },
  decryption: {
    description: 'The access token could not be decrypted',
    hint: 'The token is encrypted, but no key in `decryptionKeys` matches its `kid` and `alg`, or the decryption failed. Check that the authorization server encrypts to a key that this API’s `jwks_uri` publishes.'
  },
  not_encrypted: {
    description: 'The access token is not encrypted',
    hint: 'The issuer has `requireEncrypted`, but this token is only signed (RFC 9068 §4). Let the authorization server encrypt tokens to a key in `decryptionKeys`.'
  }
}

/** Reasons of a 401 `invalid_dpop_proof`, in the order of RFC 9449 §4.3. */
export const PROOF_REASONS: Readonly<Record<ProofReason, Entry>> = {
  proof_missing: {
    description: 'DPoP proof is required',
    hint: 'The token came with the scheme DPoP but without a `DPoP` field (RFC 9449 §7.1). The client must send a proof; check that no proxy drops the field.'
  },
  proof_multiple: {
    description: 'Multiple DPoP proofs are not allowed',
    hint: 'The request has more than one `DPoP` field line (RFC 9449 §4.3). Look for an HTTP client or proxy that adds a second one.'
  },
  proof_malformed: {
    description: 'DPoP proof is malformed',
    hint: 'The `DPoP` field must be one compact JWS of at most 4096 characters, without `crit` in its header, and with claims of the right type and length.'
  },
  proof_claim: {
    description: 'DPoP proof lacks a required claim',
    hint: 'A proof for a resource server needs `typ`, `alg` and `jwk` in its header, and the claims `jti`, `htm`, `htu`, `iat` and `ath` (RFC 9449 §4.2). A proof without `ath` was made for the token endpoint.'
  },
  proof_type: {
    description: 'DPoP proof typ is not dpop+jwt',
    hint: 'The header’s `typ` must be `dpop+jwt` (RFC 9449 §4.2).'
  },
  proof_algorithm: {
    description: 'DPoP proof alg is not accepted',
    hint: 'The proof’s `alg` is not in `dpop.algorithms`. The client must use an algorithm that the challenge names.'
  },
  proof_key: {
    description: 'DPoP proof jwk is not a public key',
    hint: 'The header’s `jwk` cannot be used: it contains a private key, its type does not match `alg`, it is an RSA key outside 2048 to 8192 bits, its point is not on the curve, or its `use`, `key_ops` or `alg` names another purpose.'
  },
  proof_signature: {
    description: 'DPoP proof signature is invalid',
    hint: 'The signature does not match the `jwk` in the proof’s own header. The client must sign the proof with that key.'
  },
  proof_method: {
    description: 'DPoP proof htm mismatch',
    hint: '`htm` must be the method of this request, in upper case (RFC 9449 §4.2).'
  },
  proof_target: {
    description: 'DPoP proof htu mismatch',
    hint: '`htu` must be the URL that the client called, without query and fragment. It is compared with `publicUrl` (default: the origin of `resource`) and the path of the request. If a proxy ends TLS, or changes the host or the path, set `publicUrl` to the URL that clients call.'
  },
  proof_freshness: {
    description: 'DPoP proof is not fresh',
    hint: '`iat` is more than `dpop.proofLifetime` seconds old or more than 10 s in the future, or the proof’s own `exp` or `nbf` excludes this time. Compare the clocks, or set `dpop.nonces: "required"`, which does not depend on the client’s clock.'
  },
  proof_token: {
    description: 'DPoP proof ath mismatch',
    hint: '`ath` must be the base64url-encoded SHA-256 hash of the access token sent with the proof (RFC 9449 §4.2).'
  },
  proof_replayed: {
    description: 'DPoP proof has been used already',
    hint: 'A proof is valid for one request (RFC 9449 §11.1). The client must create a new proof for each request, retries included. If several middlewares or services check the same request, let only the first check the proof.'
  }
}

/** Reasons of a 429 (RFC 6585 §4). */
export const LIMIT_REASONS: Readonly<Record<LimitReason, Entry>> = {
  key_unknown_yet: {
    description: 'The access token cannot be verified yet',
    hint: 'The token names a key that was not in the issuer’s key set at the last fetch, and the set may not be fetched again yet (at most three times in 30 seconds). After a key rotation the client’s retry succeeds. Many such refusals mean that a client sends invented `kid` values, or tokens from another environment.'
  },
  replay_share: {
    description: 'Too many requests with DPoP proofs',
    hint: 'This user or client has used up its share of the replay store, which keeps each proof until it expires. Lower the client’s request rate, or raise `maxEntries` of `memoryOnceStore()` or `maxPerOwner` of `redisStore()`.'
  }
}
