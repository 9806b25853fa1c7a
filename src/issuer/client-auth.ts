/**
 * How this API authenticates to the authorization server's introspection endpoint (RFC 7662 §2.1, RFC 6749 §2.3).
 * Each function returns a function of oauth4webapi's `ClientAuth` type, so those of that library can replace them.
 */

import type { KeyObject } from 'node:crypto'
import { world } from '../base/world.js'
import type { AuthorizationServerMetadata } from './metadata.js'

/** Seconds for which a client assertion is valid. */
const ASSERTION_LIFETIME = 60

/**
 * `client_secret_basic`: identifier and secret form-urlencoded, joined and base64 encoded (RFC 6749 §2.3.1, appendix B).
 *
 * @throws {TypeError} the secret is empty; thrown when called, not on the first request
 */
export function clientSecretBasic(clientSecret: string): ClientAuth {
  requireText(clientSecret, 'clientSecretBasic')
  const auth: ClientAuth = (_as, client, _body, headers) => {
    const credentials = `${formEncode(requireClientId(client))}:${formEncode(clientSecret)}`
    headers.set('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`)
  }
  basicSecrets.set(auth, clientSecret)
  return auth
}

/** The secret of each {@link clientSecretBasic}. */
const basicSecrets = new WeakMap<ClientAuth, string>()

/** @internal True if form-encoding changes the Basic credentials: some servers do not decode them. */
export function isFormEncoded(auth: ClientAuth, clientId: string): boolean {
  const secret = basicSecrets.get(auth)
  return secret !== undefined && [clientId, secret].some((one) => formEncode(one) !== one)
}

/**
 * `client_secret_post`: identifier and secret in the form. Prefer {@link clientSecretBasic} (RFC 6749 §2.3.1).
 *
 * @throws {TypeError} the secret is empty; thrown when called, not on the first request
 */
export function clientSecretPost(clientSecret: string): ClientAuth {
  requireText(clientSecret, 'clientSecretPost')
  return (_as, client, body) => {
    body.set('client_id', requireClientId(client))
    body.set('client_secret', clientSecret)
  }
}

/**
 * `private_key_jwt`: a signed assertion (RFC 7523 §2.2) with a fresh `jti`, valid for 60 seconds. Its audience is
 * the issuer identifier alone (FAPI 2.0 Security Profile §5.3.3).
 *
 * @param key  our private key
 * @param options.algorithm default `PS256` for RSA, the curve's for EC, `EdDSA` for Ed25519
 * @param options.keyId `kid` of our public key at the authorization server
 * @throws {TypeError} the key is not private, or its kind is not supported; thrown when called, not on the first request
 */
export function privateKeyJwt(key: KeyObject, options: { algorithm?: string; keyId?: string } = {}): ClientAuth {
  if (key?.type !== 'private')
    throw new TypeError('privateKeyJwt() needs a private KeyObject: createPrivateKey(…) of node:crypto')
  const algorithm = options.algorithm ?? defaultAlgorithm(key)
  return async (as, client, body) => {
    const { SignJWT } = await import('jose')
    const clientId = requireClientId(client)
    const assertion = await new SignJWT({ jti: world.id() })
      .setProtectedHeader({ alg: algorithm, typ: 'JWT', ...(options.keyId !== undefined && { kid: options.keyId }) })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(as.issuer)
      .setIssuedAt()
      .setExpirationTime(`${ASSERTION_LIFETIME} seconds`)
      .sign(key)
    body.set('client_id', clientId)
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    body.set('client_assertion', assertion)
  }
}

/**
 * An access token or API key of our own, as a Bearer credential (RFC 7662 §2.1).
 *
 * @param token the token, or a function called before each introspection request
 */
export function bearerToken(token: string | (() => string | Promise<string>)): ClientAuth {
  if (typeof token !== 'function') requireText(token, 'bearerToken')
  return async (_as, _client, _body, headers) => {
    const value = typeof token === 'function' ? await token() : token
    // Checked here, because code that rejects the value later may quote it in an error, and it is a secret.
    if (!/^[\x21-\x7E]+$/.test(value))
      throw new TypeError(
        'bearerToken(): the token is empty, or has a space, a line break or another character outside visible ASCII'
      )
    headers.set('authorization', `Bearer ${value}`)
  }
}

/** No authentication, for an endpoint that is protected by other means. Sends `client_id` if it is configured. */
export function noClientAuth(): ClientAuth {
  return (_as, client, body) => {
    if (client.client_id !== '') body.set('client_id', client.client_id)
  }
}

/** Functions that {@link tlsClientAuth} returned: they need other endpoints, and a connection with a certificate. */
const byCertificate = new WeakSet<ClientAuth>()

/**
 * `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2): sends `client_id`, and the certificate of the
 * connection proves it. Endpoints of `mtls_endpoint_aliases` are preferred (RFC 8705 §5).
 *
 * Does NOT hold the certificate: pass it in the option `http.dispatcher`, an undici `Agent` with `connect: { cert, key
 * }`. Without that option the server does not start.
 */
export function tlsClientAuth(): ClientAuth {
  const auth: ClientAuth = (_as, client, body) => {
    body.set('client_id', requireClientId(client))
  }
  byCertificate.add(auth)
  return auth
}

/** @internal True for a function that {@link tlsClientAuth} returned. */
export function usesClientCertificate(auth: ClientAuth): boolean {
  return byCertificate.has(auth)
}

function requireText(value: unknown, name: string): void {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${name}() needs a non-empty string`)
}

function requireClientId({ client_id: clientId }: { readonly client_id: string }): string {
  if (clientId === '') throw new TypeError('this client authentication needs `introspection.clientId`')
  return clientId
}

/** A value as `URLSearchParams` encodes it (application/x-www-form-urlencoded). */
function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1)
}

function defaultAlgorithm(key: KeyObject): string {
  const { namedCurve } = key.asymmetricKeyDetails ?? {}
  const byCurve: Readonly<Record<string, string>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }
  const algorithm =
    key.asymmetricKeyType === 'rsa'
      ? 'PS256'
      : key.asymmetricKeyType === 'ed25519'
        ? 'EdDSA'
        : byCurve[namedCurve ?? '']
  if (algorithm === undefined) throw new TypeError('privateKeyJwt() needs an RSA, P-256, P-384, P-521 or Ed25519 key')
  return algorithm
}

/**
 * Authenticates this resource server to the authorization server by adding to the form or the header fields of a
 * request (RFC 6749 §2.3). It has the type of oauth4webapi's `ClientAuth`, so the functions of that library can be used.
 */
export type ClientAuth = {
  // Declared as a method, because its parameters are checked bivariantly: other libraries type the metadata more narrowly.
  authenticate(
    as: AuthorizationServerMetadata,
    client: { readonly client_id: string; readonly [member: string]: unknown },
    body: URLSearchParams,
    headers: Headers
  ): void | Promise<void>
}['authenticate']
