/**
 * How this API authenticates to the authorization server's introspection endpoint (RFC 7662 §2.1, RFC 6749 §2.3).
 * Each function makes one of oauth4webapi's `ClientAuth` shape, so any of that library fits in its place.
 */
import type { KeyObject } from 'node:crypto'
import type { AuthorizationServerMetadata } from './metadata.js'

/** Seconds a client assertion may be used. */
const ASSERTION_LIFETIME = 60

/**
 * `client_secret_basic`: identifier and secret form-urlencoded, joined and base64 encoded (RFC 6749 §2.3.1, appendix B).
 *
 * @throws {TypeError} at once, for an empty secret
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

/** @internal True where Basic credentials are other texts form-encoded: some servers do not decode them. */
export function isFormEncoded(auth: ClientAuth, clientId: string): boolean {
  const secret = basicSecrets.get(auth)
  return secret !== undefined && [clientId, secret].some((one) => formEncode(one) !== one)
}

/** `client_secret_post`: identifier and secret in the form. Prefer {@link clientSecretBasic} (RFC 6749 §2.3.1). */
export function clientSecretPost(clientSecret: string): ClientAuth {
  requireText(clientSecret, 'clientSecretPost')
  return (_as, client, body) => {
    body.set('client_id', requireClientId(client))
    body.set('client_secret', clientSecret)
  }
}

/**
 * `private_key_jwt`: a signed assertion (RFC 7523 §2.2) with a fresh `jti`, good for 60 seconds, whose audience is the
 * issuer identifier and nothing else (FAPI 2.0 Security Profile §5.3.3).
 *
 * @param key  our private key
 * @param options.algorithm default `PS256` for RSA, the curve's for EC, `EdDSA` for Ed25519
 * @param options.keyId `kid` of the public key that the authorization server has
 * @throws {TypeError} at once, for a key that is not private or of no supported kind
 */
export function privateKeyJwt(key: KeyObject, options: { algorithm?: string; keyId?: string } = {}): ClientAuth {
  if (key?.type !== 'private')
    throw new TypeError('privateKeyJwt() needs a private KeyObject: createPrivateKey(…) of node:crypto')
  const algorithm = options.algorithm ?? defaultAlgorithm(key)
  return async (as, client, body) => {
    const { SignJWT } = await import('jose')
    const clientId = requireClientId(client)
    const assertion = await new SignJWT({ jti: crypto.randomUUID() })
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
 * @param token the token, or a function that is asked for each call
 */
export function bearerToken(token: string | (() => string | Promise<string>)): ClientAuth {
  if (typeof token !== 'function') requireText(token, 'bearerToken')
  return async (_as, _client, _body, headers) => {
    const value = typeof token === 'function' ? await token() : token
    // Checked here, because whatever refuses it later may quote it, and it is a secret of ours.
    if (!/^[\x21-\x7E]+$/.test(value))
      throw new TypeError('bearerToken(): the token is empty or has a blank or line break')
    headers.set('authorization', `Bearer ${value}`)
  }
}

/** No authentication, for an endpoint that is protected otherwise. Sends `client_id` if there is one. */
export function noClientAuth(): ClientAuth {
  return (_as, client, body) => {
    if (client.client_id !== '') body.set('client_id', client.client_id)
  }
}

/** What {@link tlsClientAuth} made: other endpoints are for it, and it needs a connection with a certificate. */
const byCertificate = new WeakSet<ClientAuth>()

/**
 * `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2): sends `client_id`; the certificate of the
 * connection proves it. Endpoints of `mtls_endpoint_aliases` are preferred (RFC 8705 §5).
 *
 * Does NOT hold the certificate: that is the option `http.dispatcher`, an undici `Agent` with `connect: { cert, key }`,
 * without which nothing starts.
 */
export function tlsClientAuth(): ClientAuth {
  const auth: ClientAuth = (_as, client, body) => {
    body.set('client_id', requireClientId(client))
  }
  byCertificate.add(auth)
  return auth
}

/** @internal True for what {@link tlsClientAuth} made. */
export function usesClientCertificate(auth: ClientAuth): boolean {
  return byCertificate.has(auth)
}

function requireText(value: unknown, name: string): void {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${name}() needs a string that is not empty`)
}

function requireClientId({ client_id: clientId }: { readonly client_id: string }): string {
  if (clientId === '') throw new TypeError('this client authentication needs `introspection.clientId`')
  return clientId
}

/** application/x-www-form-urlencoded, as `URLSearchParams` writes a value. */
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
  if (algorithm === undefined)
    throw new TypeError('privateKeyJwt(): an RSA, P-256, P-384, P-521 or Ed25519 key is needed')
  return algorithm
}

/**
 * Authenticates this resource server to the authorization server by adding to the form or the header fields of a
 * request (RFC 6749 §2.3). The same shape as `ClientAuth` of oauth4webapi, whose functions fit here.
 */
export type ClientAuth = {
  // Written as a method, whose parameters compare both ways: other libraries type the metadata more narrowly.
  authenticate(
    as: AuthorizationServerMetadata,
    client: { readonly client_id: string; readonly [member: string]: unknown },
    body: URLSearchParams,
    headers: Headers
  ): void | Promise<void>
}['authenticate']
