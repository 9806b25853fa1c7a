/**
 * The catalogue of refusals: what the client is told (RFC 6750 §3, fixed words, nothing from the request) and what
 * the operator should do. `reason` is stable: logs, metrics and the troubleshooting page are keyed by it.
 */

interface Entry {
  /** `error_description` on the wire. */
  readonly description: string
  /** For the operator's log: what usually causes this, and what to change. */
  readonly hint: string
}

export type RequestReason = 'malformed_authorization' | 'multiple_credentials'

export type TokenReason =
  | 'malformed'
  | 'algorithm'
  | 'critical_header'
  | 'unknown_key'
  | 'signature'
  | 'expired'
  | 'not_yet_valid'
  | 'inactive'
  | 'issuer'
  | 'audience'
  | 'claim'
  | 'confirmation_unknown'
  | 'type'
  | 'certificate_binding'
  | 'dpop_downgrade'

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
    hint: 'The authorization server says the token is revoked, expired or unknown to it. Some also say so when this API is not in the token’s audience.'
  },
  issuer: {
    description: 'The access token issuer is not accepted',
    hint: '`iss` must equal a configured issuer to the letter, trailing slash included. Add it to `issuers`, or to an issuer’s `acceptedIssuers`.'
  },
  audience: {
    description: 'The access token audience is not accepted',
    hint: '`aud` names none of this API’s identifiers. Let the client ask for `resource` (RFC 8707), or list the identifier your authorization server uses in `audience`.'
  },
  claim: {
    description: claim,
    hint: 'A claim that RFC 9068 §2.2 requires is missing, or a claim has the wrong type. `profile: "legacy"` or `requiredClaims` relax which must be there.'
  },
  confirmation_unknown: {
    description: claim,
    hint: 'The token is bound to a key by a `cnf` member that this server cannot confirm, so it must not be accepted as a plain bearer token (RFC 7800 §3.1).'
  },
  type: {
    description: 'The token is not an access token',
    hint: '`typ` must be `at+jwt` (RFC 9068 §4). An authorization server that still writes `JWT` needs `profile: "legacy"`; ID tokens, refresh tokens and others are refused there too.'
  },
  certificate_binding: {
    description: 'The access token is bound to a different client certificate',
    hint: 'The token carries `cnf.x5t#S256` (RFC 8705 §3) and the client’s certificate was not confirmed.'
  },
  dpop_downgrade: {
    description: 'DPoP-bound access token used with the Bearer scheme',
    hint: 'The token carries `cnf.jkt`: it is of use only with a DPoP proof (RFC 9449 §7.2).'
  }
}
