/**
 * The catalogue of refusals: the description for the client (RFC 6750 §3, fixed words, no data of the request) and
 * advice for the operator. `reason` is stable: logs, metrics and the troubleshooting page use it as a key.
 */

interface Entry {
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
    hint: 'The client must send exactly `Authorization: Bearer <token>`: one scheme, one space, one token.'
  },
  multiple_credentials: {
    description: 'Multiple methods used to include access token',
    hint: 'The request holds more than one credential: repeated Authorization fields, or (with rejectQueryToken) a token in the query. Look for a proxy or an HTTP client that adds its own.'
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
    hint: 'The token names a signature algorithm that is not in the issuer’s `algorithms` (symmetric ones and `none` never are).'
  },
  critical_header: {
    description: signature,
    hint: 'The token’s header asks for an extension (`crit`, `b64`) that no access token may use (RFC 7515 §4.1.11, RFC 7797 §7).'
  },
  unknown_key: {
    description: signature,
    hint: 'No key of the issuer fits the token’s `kid` and `alg`, also after its key set was fetched again. Is this token from another environment, or does the key lack `use: "sig"`?'
  },
  signature: {
    description: signature,
    hint: 'A key of the issuer fits, and the signature is wrong: the token was altered, or signed by another key under the same `kid`.'
  },
  expired: {
    description: 'The access token expired',
    hint: 'The client should get a new token. If it just did, compare the clocks; `clockTolerance` is the leeway in seconds.'
  },
  not_yet_valid: {
    description: 'The access token is not yet valid',
    hint: '`nbf` or `iat` lies in the future: compare this machine’s clock with the authorization server’s.'
  },
  inactive: {
    description: 'The access token is not active',
    hint: 'The authorization server says the token is revoked, expired or unknown to it, or answers 400 to this token and 200 to others, or 400 without a body (`received: 400`). Some also say so when this API is not in the token’s audience, or when the token was issued to another client (Doorkeeper, unless `allow_token_introspection` lets this client ask).'
  },
  revoked: {
    description: 'The access token is not active',
    hint: 'The token verifies, and was revoked here: by `api.revoke()`, a security event or a logout, perhaps in another process. The client should get a new token; one issued after the revocation is accepted.'
  },
  status: {
    description: 'The access token is not active',
    hint: 'The token verifies, and its issuer’s status list calls it invalid (1), suspended (2) or something that is not known here, or has no entry for it. The client should get a new token.'
  },
  issuer: {
    description: 'The access token issuer is not accepted',
    hint: '`iss` must equal a configured issuer to the letter, a final slash included: write `issuer` as tokens have it. `acceptedIssuers` is for a second name of the same keys.'
  },
  audience: {
    description: 'The access token audience is not accepted',
    hint: '`aud` names none of this API’s identifiers. Let the client ask for `resource` (RFC 8707), or list the identifier your authorization server uses in `audience`.'
  },
  claim: {
    description: claim,
    hint: 'A claim that RFC 9068 §2.2 requires is missing, or a claim has the wrong type. `tokenProfile: "legacy"` or `requiredClaims` relax which must be there.'
  },
  confirmation_unknown: {
    description: claim,
    hint: 'The token is bound to a key by a `cnf` member that this server cannot confirm, so it must not be accepted as a plain bearer token (RFC 7800 §3.1).'
  },
  type: {
    description: 'The token is not an access token',
    hint: '`typ` must be `at+jwt` (RFC 9068 §4). An authorization server that still writes `JWT` needs `tokenProfile: "legacy"`, under which the claims must say that it is an access token.'
  },
  certificate_binding: {
    description: 'The access token is bound to a different client certificate',
    hint: 'Either the token carries `cnf.x5t#S256` (RFC 8705 §3) and the client’s certificate is another one, or did not arrive here: a server that ends TLS itself needs `requestCert: true, rejectUnauthorized: false`; behind a proxy that ends TLS, configure `clientCertificate`. Or the token is bound to no key, and `requireSenderConstrained` asks for one.'
  },
  dpop_downgrade: {
    description: 'DPoP-bound access token used with the Bearer scheme',
    hint: 'The token carries `cnf.jkt`: it is of use only with a DPoP proof (RFC 9449 §7.2). The client must send `Authorization: DPoP <token>` and a `DPoP` field.'
  },
  dpop_binding: {
    description: 'Invalid DPoP key binding',
    hint: 'The key in the proof is not the one that the token is bound to (`cnf.jkt`, RFC 9449 §6.1): another client uses this token, or the client made itself a new key after it got the token.'
  },
  dpop_unbound: {
    description: 'The access token is not DPoP-bound',
    hint: 'The token came with the scheme DPoP and has no `cnf.jkt`: the client sent no proof to the token endpoint, or the authorization server ignored it (RFC 9449 §5).'
  },
  decryption: {
    description: 'The access token could not be decrypted',
    hint: 'The token is encrypted, and no key of `decryptionKeys` fits its `kid` and `alg`, or the decryption failed. Does the authorization server encrypt to a key that is published in this API’s `jwks_uri`?'
  },
  not_encrypted: {
    description: 'The access token is not encrypted',
    hint: 'The issuer has `requireEncrypted` and this token is only signed (RFC 9068 §4): let the authorization server encrypt to a key of `decryptionKeys`.'
  }
}

/** Reasons of a 401 `invalid_dpop_proof`, in the order of RFC 9449 §4.3. */
export const PROOF_REASONS: Readonly<Record<ProofReason, Entry>> = {
  proof_missing: {
    description: 'DPoP proof is required',
    hint: 'The token came with the scheme DPoP and without a `DPoP` field (RFC 9449 §7.1). Does a proxy drop the field?'
  },
  proof_multiple: {
    description: 'Multiple DPoP proofs are not allowed',
    hint: 'The request has more than one `DPoP` field line (RFC 9449 §4.3). Look for an HTTP client or proxy that adds its own.'
  },
  proof_malformed: {
    description: 'DPoP proof is malformed',
    hint: 'The `DPoP` field is not one compact JWS of at most 4096 characters, has a header parameter `crit`, or a claim of the wrong type or length.'
  },
  proof_claim: {
    description: 'DPoP proof lacks a required claim',
    hint: 'A proof for a resource server needs `typ`, `alg` and `jwk` in its header, and `jti`, `htm`, `htu`, `iat` and `ath` (RFC 9449 §4.2). Without `ath` it was made for the token endpoint.'
  },
  proof_type: {
    description: 'DPoP proof typ is not dpop+jwt',
    hint: 'The header’s `typ` must be `dpop+jwt` (RFC 9449 §4.2).'
  },
  proof_algorithm: {
    description: 'DPoP proof alg is not accepted',
    hint: 'The proof’s `alg` is not in `dpop.algorithms`; the challenge names those that are.'
  },
  proof_key: {
    description: 'DPoP proof jwk is not a public key',
    hint: 'The header’s `jwk` has a private part, is of another type than `alg` needs, too short or too long for RSA (2048 to 8192 bits), not on its curve, or says by `use`, `key_ops` or `alg` that it is for something else.'
  },
  proof_signature: {
    description: 'DPoP proof signature is invalid',
    hint: 'The proof was not signed by the key in its own header.'
  },
  proof_method: {
    description: 'DPoP proof htm mismatch',
    hint: '`htm` must be the method of this very request, in upper case (RFC 9449 §4.2).'
  },
  proof_target: {
    description: 'DPoP proof htu mismatch',
    hint: '`htu` must be the URL that the client called, without query and fragment. This server takes its own from `publicUrl` (by default the origin of `resource`) and the path of the request: if a proxy has another host or cuts the path, set `publicUrl`.'
  },
  proof_freshness: {
    description: 'DPoP proof is not fresh',
    hint: '`iat` is more than `dpop.proofLifetime` seconds old or more than 10 ahead, or the proof’s own `exp` or `nbf` says no. Compare the clocks, or use `nonces: "required"`, which need none in the client.'
  },
  proof_token: {
    description: 'DPoP proof ath mismatch',
    hint: '`ath` must be the base64url SHA-256 of the access token that came with the proof (RFC 9449 §4.2).'
  },
  proof_replayed: {
    description: 'DPoP proof has been used already',
    hint: 'A proof is good for one request (RFC 9449 §11.1): the client must make a new one for each, retries included. If several middlewares or services check one request, let only the first one do it.'
  }
}

/** Reasons of a 429 (RFC 6585 §4). */
export const LIMIT_REASONS: Readonly<Record<LimitReason, Entry>> = {
  key_unknown_yet: {
    description: 'The access token cannot be verified yet',
    hint: 'The token names a key that the issuer’s key set did not have when it was last fetched, and the set may not be fetched again yet (three times in 30 seconds). After a key rotation the client’s retry succeeds. Many of these mean that someone sends tokens with made-up `kid` values, or that the tokens are from another environment.'
  },
  replay_share: {
    description: 'Too many requests with DPoP proofs',
    hint: 'This user or client has used its share of the replay store: each proof is remembered until it expires. Lower its request rate, or raise the `maxEntries` of `memoryOnceStore()` or the `maxPerOwner` of `redisStore()`.'
  }
}
