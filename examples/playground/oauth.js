// @ts-check
/**
 * Tokens: registration (RFC 7591), the authorization code grant with PKCE (RFC 6749, RFC 7636, RFC 8707, RFC 9207),
 * client credentials, and revocation (RFC 7009).
 */
import { base64url, createProof, sha256 } from './dpop.js'
import { Problem, record, send } from './http.js'

/** @typedef {import('./discovery.js').Discovered} Discovered */
/** @typedef {import('./discovery.js').ServerMetadata} ServerMetadata */
/** @typedef {{ clientId: string, state: string, verifier: string, redirectUri: string }} Pending */
/** @typedef {{ accessToken: string, refreshToken: string | undefined, type: string, scope: string, clientId: string }} Tokens */

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' }

/**
 * Registers this page as a client, unless it is one, and makes the URL that the person must visit.
 *
 * @param {Discovered} found
 * @param {{ kind: string, isBound: boolean, redirectUri: string, clientId: string }} wanted
 * @returns {Promise<{ pending: Pending, url: string }>}
 */
export async function begin({ resource, scopes, server }, { kind, isBound, redirectUri, clientId: known }) {
  if (typeof server['authorization_endpoint'] !== 'string')
    throw new Problem(
      `${server.issuer} has no page where you could sign in (authorization_endpoint).`,
      'Choose “Client credentials” or “I have a token”.'
    )
  const clientId = known || (await register(server, { kind, isBound, redirectUri, scopes }))
  const state = base64url(crypto.getRandomValues(new Uint8Array(16)))
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)))
  const url = new URL(server['authorization_endpoint'])
  const parameters = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: scopes.join(' '),
    resource,
    state,
    code_challenge: await sha256(verifier),
    code_challenge_method: 'S256'
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  const visit = { to: /** @type {const} */ ('server'), step: 'authorize', method: 'GET', url: url.href }
  record({ ...visit, sent: [], status: 0, received: [], body: '' })
  return { pending: { clientId, state, verifier, redirectUri }, url: url.href }
}

/**
 * @param {ServerMetadata} server
 * @param {{ kind: string, isBound: boolean, redirectUri: string, scopes: string[] }} wanted
 * @returns {Promise<string>} the client identifier
 */
async function register(server, { kind, isBound, redirectUri, scopes }) {
  const remedy = `Register a public client with the redirect URI ${redirectUri} there, and enter its client ID under “More settings”.`
  const endpoint = server['registration_endpoint']
  if (typeof endpoint !== 'string')
    throw new Problem(`${server.issuer} does not let clients register themselves (RFC 7591).`, remedy)
  const registered = await send(endpoint, {
    to: 'server',
    step: 'register',
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      client_name: 'OAuth playground',
      redirect_uris: [redirectUri],
      // A loopback address belongs to a program on this machine (RFC 8252 §7.3).
      application_type: redirectUri.startsWith('https:') ? 'web' : 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      scope: scopes.join(' '),
      dpop_bound_access_tokens: isBound,
      // A member of the example server.
      ...(kind !== '' && { access_token_format: kind })
    })
  })
  if (registered.status !== 201) throw refused(`${server.issuer} did not register this page`, registered, remedy)
  return String(registered.json()['client_id'])
}

/**
 * Exchanges the code of the answer for tokens.
 *
 * @param {URLSearchParams} answer
 * @param {Discovered} found
 * @param {Pending} pending
 * @param {CryptoKeyPair | undefined} key
 * @returns {Promise<Tokens>}
 */
export async function finish(answer, { resource, server }, { clientId, state, verifier, redirectUri }, key) {
  const restart = 'Start over.'
  if (answer.get('state') !== state)
    throw new Problem('This answer does not belong to the request of this page (`state`).', restart)
  const isNamed = answer.has('iss') || server['authorization_response_iss_parameter_supported'] === true
  if (isNamed && answer.get('iss') !== server.issuer)
    throw new Problem('This answer is from another authorization server (`iss`, RFC 9207).', restart)
  const error = answer.get('error')
  if (error !== null)
    throw new Problem(
      `The authorization server answered ${error}: ${answer.get('error_description') ?? 'it does not say why'}.`,
      error === 'access_denied' ? 'Start over, and allow it.' : restart
    )
  const parameters = {
    grant_type: 'authorization_code',
    code: answer.get('code') ?? '',
    redirect_uri: redirectUri,
    client_id: clientId,
    code_verifier: verifier,
    resource
  }
  return getToken(server, parameters, { clientId, key })
}

/**
 * The client credentials grant (RFC 6749 §4.4).
 *
 * @param {Discovered} found
 * @param {{ clientId: string, clientSecret: string }} client
 * @param {CryptoKeyPair | undefined} key
 * @returns {Promise<Tokens>}
 */
export async function getOwnToken({ resource, scopes, server }, { clientId, clientSecret }, key) {
  if (clientId === '' || clientSecret === '')
    throw new Problem('Client credentials are missing.', 'Enter the client ID and the client secret.')
  const parameters = { grant_type: 'client_credentials', scope: scopes.join(' '), resource }
  const basic = btoa([clientId, clientSecret].map((one) => encodeURIComponent(one)).join(':'))
  return getToken(server, parameters, { clientId, key, authorization: `Basic ${basic}` })
}

/**
 * @param {ServerMetadata} server
 * @param {Record<string, string>} parameters
 * @param {{ clientId: string, key: CryptoKeyPair | undefined, authorization?: string }} client
 * @returns {Promise<Tokens>}
 */
async function getToken(server, parameters, { clientId, key, authorization }) {
  const url = server['token_endpoint']
  /** @param {string} [nonce] */
  const request = async (nonce) =>
    send(url, {
      to: 'server',
      step: 'token',
      method: 'POST',
      headers: {
        ...FORM,
        ...(authorization !== undefined && { Authorization: authorization }),
        ...(key && { DPoP: await createProof(key, { method: 'POST', url, ...(nonce !== undefined && { nonce }) }) })
      },
      body: new URLSearchParams(parameters).toString()
    })
  let answered = await request()
  const nonce = answered.field('dpop-nonce')
  if (answered.status === 400 && nonce !== null && answered.json()['error'] === 'use_dpop_nonce')
    answered = await request(nonce)
  if (answered.status !== 200) throw refused('The authorization server gave no token', answered)
  const { access_token: accessToken, refresh_token: refreshToken, token_type: type, scope } = answered.json()
  if (key && String(type).toLowerCase() !== 'dpop')
    throw new Problem(
      'The authorization server did not bind the token to the key of this browser.',
      'Start over without DPoP, or switch DPoP on at the server.'
    )
  return {
    accessToken,
    refreshToken,
    type: key ? 'DPoP' : 'Bearer',
    scope: scope ?? parameters['scope'] ?? '',
    clientId
  }
}

/**
 * @param {ServerMetadata} server
 * @param {Tokens} tokens
 */
export async function revoke(server, { clientId, refreshToken, accessToken }) {
  const hint = refreshToken === undefined ? 'access_token' : 'refresh_token'
  const answered = await send(server['revocation_endpoint'], {
    to: 'server',
    step: 'revoke',
    method: 'POST',
    headers: FORM,
    body: new URLSearchParams({
      token: refreshToken ?? accessToken,
      token_type_hint: hint,
      client_id: clientId
    }).toString()
  })
  if (answered.status !== 200) throw refused('The authorization server revoked nothing', answered)
}

/**
 * A token like this one with one fault, from an authorization server for development.
 *
 * @param {ServerMetadata} server
 * @param {string} token
 * @param {string} change
 * @returns {Promise<string>}
 */
export async function getVariant(server, token, change) {
  const answered = await send(server['development_variant_endpoint'], {
    to: 'server',
    step: 'variant',
    method: 'POST',
    headers: FORM,
    body: new URLSearchParams({ token, change }).toString()
  })
  if (answered.status !== 200) throw refused('The authorization server gave no such token', answered)
  return String(answered.json()['access_token'])
}

/** @param {string} what @param {import('./http.js').Exchange} exchange @param {string} [remedy] */
function refused(what, { status, body }, remedy = 'The picture shows the whole exchange.') {
  return new Problem(`${what}: ${status} ${body.slice(0, 300)}`, remedy)
}
