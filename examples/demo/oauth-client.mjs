// @ts-check
/** The clients of the demo: a service with its own credentials, and an app that registers itself and asks its user. */
import { createHash } from 'node:crypto'
import * as oauth from 'oauth4webapi'

const REDIRECT_URI = 'http://127.0.0.1/callback'
/** Everything here is on the loopback interface, without TLS. */
const http = { [oauth.allowInsecureRequests]: true }

/**
 * @param {string} issuer
 * @param {{ client_id: string, client_secret: string }} service
 */
export async function createOAuthClient(issuer, service) {
  const identifier = new URL(issuer)
  const discovery = await oauth.discoveryRequest(identifier, { algorithm: 'oauth2', ...http })
  const as = await oauth.processDiscoveryResponse(identifier, discovery)
  const serviceAuth = oauth.ClientSecretBasic(service.client_secret)

  const registration = await oauth.dynamicClientRegistrationRequest(
    as,
    {
      client_name: 'Orders app',
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'none'
    },
    http
  )
  const app = await oauth.processDynamicClientRegistrationResponse(registration)

  return {
    /**
     * A token for a machine in its own name (RFC 6749 §4.4), for one API (RFC 8707).
     * @param {string} resource
     * @param {string} scope
     */
    clientCredentials: async (resource, scope) => {
      const parameters = { resource, scope }
      const response = await oauth.clientCredentialsGrantRequest(as, service, serviceAuth, parameters, http)
      return (await oauth.processClientCredentialsResponse(as, service, response)).access_token
    },

    /**
     * The same, bound to a key of its own (RFC 9449 §5), and what makes the proofs that must come with it.
     * @param {string} resource
     * @param {string} scope
     */
    dpopBound: async (resource, scope) => {
      const keys = await oauth.generateKeyPair('ES256', { extractable: true })
      const options = { DPoP: oauth.DPoP(service, keys), ...http }
      const parameters = { resource, scope }
      const response = await oauth.clientCredentialsGrantRequest(as, service, serviceAuth, parameters, options)
      const { access_token: token } = await oauth.processClientCredentialsResponse(as, service, response)
      return {
        token,
        prove: (/** @type {string} */ method, /** @type {string} */ url) => prove(keys, token, method, url)
      }
    },

    /**
     * A token for an app in the name of its user (RFC 6749 §4.1, RFC 7636), and an ID token with it.
     * @param {string} resource
     * @param {string} scope
     * @param {Record<string, string>} [more] parameters, such as `acr_values` (RFC 9470 §4)
     */
    authorizationCode: async (resource, scope, more = {}) => {
      const verifier = oauth.generateRandomCodeVerifier()
      const state = oauth.generateRandomState()
      const url = new URL(/** @type {string} */ (as.authorization_endpoint))
      url.search = new URLSearchParams({
        client_id: app.client_id,
        redirect_uri: REDIRECT_URI,
        response_type: 'code',
        scope: `openid ${scope}`,
        resource,
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        ...more
      }).toString()
      const parameters = oauth.validateAuthResponse(as, app, await browse(url), state)
      const none = oauth.None()
      const response = await oauth.authorizationCodeGrantRequest(as, app, none, parameters, REDIRECT_URI, verifier, {
        additionalParameters: { resource },
        ...http
      })
      const tokens = await oauth.processAuthorizationCodeResponse(as, app, response, { requireIdToken: true })
      return { accessToken: tokens.access_token, idToken: /** @type {string} */ (tokens.id_token) }
    },

    /** Gives a token of the service back (RFC 7009). @param {string} token */
    revoke: async (token) => {
      const response = await oauth.revocationRequest(as, service, serviceAuth, token, http)
      await oauth.processRevocationResponse(response)
    }
  }
}

/**
 * A DPoP proof (RFC 9449 §4.2). oauth4webapi makes one by itself when it sends a request; here requests are also sent
 * wrong on purpose, so the proof is made apart.
 * @param {{ privateKey: CryptoKey, publicKey: CryptoKey }} keys
 * @param {string} token
 * @param {string} method
 * @param {string} url
 */
async function prove({ privateKey, publicKey }, token, method, url) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }
  const claims = {
    jti: crypto.randomUUID(),
    htm: method,
    htu: url,
    iat: Math.floor(Date.now() / 1000),
    ath: createHash('sha256').update(token).digest('base64url')
  }
  const encode = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  const algorithm = { name: 'ECDSA', hash: 'SHA-256' }
  const signature = await crypto.subtle.sign(algorithm, privateKey, Buffer.from(input))
  return `${input}.${Buffer.from(signature).toString('base64url')}`
}

/**
 * What the user's browser does: follows the redirects through login and consent, with cookies, until it is sent back to
 * the app.
 * @param {URL} start
 * @returns {Promise<URL>} the redirect URI with the answer
 */
async function browse(start) {
  /** @type {Map<string, string>} */
  const cookies = new Map()
  let url = start
  for (let steps = 0; steps < 10; steps++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } })
    await response.body?.cancel()
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /** @type {RegExpExecArray} */ (/^([^=]+)=([^;]*)/.exec(line))
      if (name && value) cookies.set(name, value)
      else if (name) cookies.delete(name)
    }
    const location = response.headers.get('location')
    if (location === null) throw new Error(`${url.pathname} answered ${response.status} and leads nowhere`)
    url = new URL(location, url)
    if (url.href.startsWith(REDIRECT_URI)) return url
  }
  throw new Error('the login went in circles')
}
