/**
 * The sentences that the checks with an authorization server hold an API to, each once.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import type { Source } from '../check.js'

function rfc(number: number, section: string, quote: string): Source {
  const url = `https://www.rfc-editor.org/rfc/rfc${number}#section-${section}`
  return { name: `RFC ${number}`, section: `§${section}`, url, quote }
}

export const TYPE: Source = rfc(
  9068,
  '4',
  'The resource server MUST verify that the "typ" header value is "at+jwt" or "application/at+jwt" and reject tokens carrying any other value.'
)
export const ISSUER: Source = rfc(
  9068,
  '4',
  'The issuer identifier for the authorization server (which is typically obtained during discovery) MUST exactly match the value of the "iss" claim.'
)
export const AUDIENCE: Source = rfc(
  9068,
  '4',
  'The JWT access token MUST be rejected if "aud" does not contain a resource indicator of the current resource server as a valid audience.'
)
export const AUDIENCE_CONTAINS: Source = rfc(
  9068,
  '4',
  'The resource server MUST validate that the "aud" claim contains a resource indicator value corresponding to an identifier the resource server expects for itself.'
)
export const SIGNATURE: Source = rfc(
  9068,
  '4',
  'The resource server MUST use the keys provided by the authorization server.'
)
export const VALID_SIGNATURE: Source = rfc(
  9068,
  '4',
  'The resource server MUST validate the signature of all incoming JWT access tokens according to [RFC7515] using the algorithm specified in the JWT "alg" Header Parameter.'
)
export const IGNORE_KEYS: Source = rfc(
  7517,
  '5',
  'Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key type) values that are not understood by them, that are missing required members, or for which values are out of the supported ranges.'
)
export const PSS_SALT: Source = rfc(
  7518,
  '3.5',
  'The size of the salt value is the same size as the hash function output.'
)
export const EDDSA_RANGE: Source = rfc(
  8032,
  '5.1.7',
  'If any of the decodings fail (including S being out of range), the signature is invalid.'
)
export const ALG_NONE: Source = rfc(
  9068,
  '4',
  'The resource server MUST reject any JWT in which the value of "alg" is "none".'
)
export const EXPIRY: Source = rfc(9068, '4', 'The current time MUST be before the time represented by the "exp" claim.')
export const ERROR_CODE: Source = rfc(
  9068,
  '4',
  'In particular, in case of any failure in the validation checks listed above, the authorization server response MUST include the error code "invalid_token".'
)
export const EXPIRY_NUMBER: Source = rfc(7519, '4.1.4', 'Its value MUST be a number containing a NumericDate value.')
export const NOT_BEFORE: Source = rfc(
  7519,
  '4.1.5',
  'The "nbf" (not before) claim identifies the time before which the JWT MUST NOT be accepted for processing.'
)
export const CLAIMS_UNIQUE: Source = rfc(
  7519,
  '4',
  'The Claim Names within a JWT Claims Set MUST be unique; JWT parsers MUST either reject JWTs with duplicate Claim Names or use a JSON parser that returns only the lexically last duplicate member name'
)
export const HEADER_UNIQUE: Source = rfc(
  7515,
  '4',
  'The Header Parameter names within the JOSE Header MUST be unique; JWS parsers MUST either reject JWSs with duplicate Header Parameter names or use a JSON parser that returns only the lexically last duplicate member name'
)
export const CRIT: Source = rfc(
  7515,
  '4.1.11',
  'If any of the listed extension Header Parameters are not understood and supported by the recipient, then the JWS is invalid.'
)
export const CRIT_MISUSED: Source = rfc(
  7515,
  '4.1.11',
  'Recipients MAY consider the JWS to be invalid if the critical list contains any Header Parameter names defined by this specification or [JWA] for use with JWS or if any other constraints on its use are violated.'
)
export const BASE64: Source = rfc(
  7515,
  '5.2',
  'following the restriction that no line breaks, whitespace, or other additional characters have been used'
)
export const RSA_SIZE: Source = rfc(
  7518,
  '3.3',
  'A key of size 2048 bits or larger MUST be used with these algorithms.'
)
export const ECDSA_LENGTH: Source = rfc(
  7518,
  '3.4',
  'The JWS Signature value MUST be a 64-octet sequence. If it is not a 64-octet sequence, the validation has failed.'
)
export const ONE_ALGORITHM: Source = rfc(
  8725,
  '3.1',
  'each key MUST be used with exactly one algorithm, and this MUST be checked when the cryptographic operation is performed'
)
export const ALLOWED_ALGORITHMS: Source = rfc(
  8725,
  '3.1',
  'Libraries MUST enable the caller to specify a supported set of algorithms and MUST NOT use any other algorithms when performing cryptographic operations.'
)
export const QUERY_TOKEN: Source = rfc(
  6750,
  '2.3',
  'Because of the security weaknesses associated with the URI method (see Section 5), including the high likelihood that the URL containing the access token will be logged, it SHOULD NOT be used unless it is impossible to transport the access token'
)
export const NO_TOKEN: Source = rfc(
  6750,
  '3',
  'If the protected resource request does not include authentication credentials or does not contain an access token that enables access to the protected resource, the resource server MUST include the HTTP "WWW-Authenticate" response header field'
)
export const BODY_OF_GET: Source = rfc(6750, '2.2', 'In particular, this means that the "GET" method MUST NOT be used.')
export const BODY_TOKEN: Source = rfc(
  6750,
  '2.2',
  'The "application/x-www-form-urlencoded" method SHOULD NOT be used except in application contexts where participating browsers do not have access to the "Authorization" request header field.'
)
export const INVALID_REQUEST: Source = rfc(
  6750,
  '3.1',
  'The request is missing a required parameter, [...] repeats the same parameter, uses more than one method for including an access token, or is otherwise malformed. The resource server SHOULD respond with the HTTP 400 (Bad Request) status code.'
)
export const SCHEME_CASE: Source = rfc(
  9110,
  '11.1',
  'It uses a case-insensitive token to identify the authentication scheme'
)
export const SHARED_CACHE: Source = rfc(
  9111,
  '3.5',
  'unless the response contains a Cache-Control field with a response directive (Section 5.2.2) that allows it to be stored by a shared cache'
)
export const INVALID_TOKEN: Source = rfc(
  6750,
  '3.1',
  'The access token provided is expired, revoked, malformed, or invalid for other reasons. The resource SHOULD respond with the HTTP 401 (Unauthorized) status code.'
)
export const INSUFFICIENT_SCOPE: Source = rfc(
  6750,
  '3.1',
  'The request requires higher privileges than provided by the access token. The resource server SHOULD respond with the HTTP 403 (Forbidden) status code'
)
export const METADATA_ISSUER: Source = rfc(
  8414,
  '3.3',
  'If these values are not identical, the data contained in the response MUST NOT be used.'
)
export const ACTIVE: Source = rfc(
  7662,
  '2.2',
  'REQUIRED. Boolean indicator of whether or not the presented token is currently active.'
)
export const ANSWER_ISSUER: Source = rfc(9701, '5', 'MUST be set to the issuer URL of the authorization server.')
export const ANSWER_AUDIENCE: Source = rfc(
  9701,
  '5',
  'MUST identify the resource server receiving the token introspection response.'
)
export const DPOP_ALL: Source = rfc(
  9449,
  '7.1',
  'The resource server MUST NOT grant access to the resource unless all checks are successful.'
)
export const DPOP_BEARER: Source = rfc(
  9449,
  '7.2',
  'Specifically, such a protected resource MUST reject a DPoP-bound access token received as a bearer token per [RFC6750].'
)
export const CERTIFICATE: Source = rfc(
  8705,
  '3',
  'If they do not match, the resource access attempt MUST be rejected with an error, per [RFC6750], using an HTTP 401 status code and the "invalid_token" error code.'
)
export const STEP_UP: Source = rfc(
  9470,
  '3',
  'The authentication event associated with the access token presented with the request does not meet the authentication requirements of the protected resource.'
)

export const FAPI_ALGORITHMS: Source = {
  name: 'FAPI 2.0 Security Profile',
  section: '§5.4.1',
  url: 'https://openid.net/specs/fapi-security-profile-2_0-final.html#section-5.4.1',
  quote:
    'Authorization servers, clients, and resource servers when creating or processing JWTs shall: [...] use PS256, ES256, or EdDSA (using the Ed25519 variant) algorithms'
}

/** A condition of RFC 9449 §4.3: "To validate a DPoP proof, the receiving server MUST ensure the following". */
export function proofRule(quote: string): Source {
  return rfc(9449, '4.3', quote)
}
