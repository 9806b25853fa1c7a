// @ts-check
/**
 * What a public client does: discovery from the API's own answer (RFC 9728, RFC 8414), registration (RFC 7591), the
 * authorization code grant with PKCE (RFC 6749, RFC 7636, RFC 8707, RFC 9207), and requests with what came of it.
 */
import { base64url, createProof, sha256 } from './dpop.js'
import { Problem, readChallenges, send } from './http.js'

/** What the token is asked for: less than there is, so that something is missing. */
const WANTED = ['messages:read', 'balance:read']

/** @typedef {{ issuer: string } & Record<string, any>} ServerMetadata */
/** @typedef {{ resource: string, scopes: string[], server: ServerMetadata }} Discovered */
/** @typedef {{ clientId: string, state: string, verifier: string, redirectUri: string }} Pending */
/** @typedef {{ accessToken: string, refreshToken: string | undefined, type: string, scope: string }} Tokens */

/**
 * From the API's URL to where its tokens come from.
 * @param {string} api
 * @returns {Promise<Discovered>}
 */
export async function discover(api) {
  const url = `${api}/v2/messages`
  const refused = await send(url)
  const challenges = readChallenges(refused.field('www-authenticate') ?? '')
  const place = challenges.find(({ parameters }) => parameters['resource_metadata'])?.parameters['resource_metadata']
  if (refused.status !== 401 || place === undefined)
    throw new Problem(
      `${url} should have answered 401 with a challenge that names \`resource_metadata\`, and answered ${refused.status}.`,
      'Is it protected (RFC 9728 §5.1), and is `WWW-Authenticate` among the fields that it exposes?'
    )
  const metadata = await getJson(place)
  const { resource, authorization_servers: servers, scopes_supported: scopes = [] } = metadata
  // Else another API's metadata could send us, and its token, anywhere (RFC 9728 §3.3).
  if (typeof resource !== 'string' || !isPartOf(url, resource))
    throw new Problem(`The metadata are about ${resource}, not about ${api}.`, 'The API must name itself there.')
  const [issuer] = Array.isArray(servers) ? servers : []
  if (typeof issuer !== 'string')
    throw new Problem('The metadata name no authorization server.', 'Add `authorization_servers`.')
  const { origin, pathname } = new URL(issuer)
  const path = pathname === '/' ? '' : pathname
  const server = /** @type {ServerMetadata} */ (
    await getJson(`${origin}/.well-known/oauth-authorization-server${path}`)
  )
  if (server.issuer !== issuer)
    throw new Problem(
      `The authorization server calls itself ${server.issuer}, the API calls it ${issuer}.`,
      'The two must be exactly equal (RFC 8414 §3.3).'
    )
  return { resource, scopes: WANTED.filter((one) => scopes.includes(one)), server }
}

/**
 * Registers this page as a client, and says where a person has to go.
 * @param {Discovered} found
 * @param {{ kind: string, isBound: boolean, redirectUri: string }} wanted
 * @returns {Promise<{ pending: Pending, url: string }>}
 */
export async function begin({ resource, scopes, server }, { kind, isBound, redirectUri }) {
  const registered = await send(server['registration_endpoint'], {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      client_name: 'OAuth playground',
      redirect_uris: [redirectUri],
      // A port of this machine is a program on it (RFC 8252 §7.3).
      application_type: redirectUri.startsWith('https:') ? 'web' : 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      scope: scopes.join(' '),
      dpop_bound_access_tokens: isBound,
      // The example server's own.
      access_token_format: kind
    })
  })
  if (registered.status !== 201) throw refused('The authorization server did not register this page', registered)
  const clientId = String(registered.json()['client_id'])
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
  return { pending: { clientId, state, verifier, redirectUri }, url: url.href }
}

/**
 * From what came back to tokens.
 * @param {URLSearchParams} answer
 * @param {Discovered} found
 * @param {Pending} pending
 * @param {CryptoKeyPair | undefined} key
 * @returns {Promise<Tokens>}
 */
export async function finish(answer, { resource, server }, { clientId, state, verifier, redirectUri }, key) {
  if (answer.get('state') !== state)
    throw new Problem('The answer is not to the request of this page (`state`).', 'Start over.')
  if (answer.get('iss') !== server.issuer)
    throw new Problem('The answer is from another authorization server (`iss`, RFC 9207).', 'Start over.')
  const error = answer.get('error')
  if (error !== null)
    throw new Problem(
      `The authorization server answered ${error}: ${answer.get('error_description') ?? 'no more is said'}.`,
      error === 'access_denied' ? 'Start over, and allow it.' : 'Start over.'
    )
  const url = server['token_endpoint']
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code: answer.get('code') ?? '',
    redirect_uri: redirectUri,
    client_id: clientId,
    code_verifier: verifier,
    resource
  }).toString()
  /** @param {string} [nonce] */
  const ask = async (nonce) =>
    send(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        ...(key && { DPoP: await createProof(key, { method: 'POST', url, ...(nonce !== undefined && { nonce }) }) })
      },
      body
    })
  let answered = await ask()
  const nonce = answered.field('dpop-nonce')
  if (answered.status === 400 && nonce !== null && answered.json()['error'] === 'use_dpop_nonce')
    answered = await ask(nonce)
  if (answered.status !== 200) throw refused('The authorization server gave no token', answered)
  const { access_token: accessToken, refresh_token: refreshToken, token_type: type, scope = '' } = answered.json()
  if (key && String(type).toLowerCase() !== 'dpop')
    throw new Problem('The token is not bound to the key of this browser.', 'Does the server support DPoP?')
  return { accessToken, refreshToken, type: key ? 'DPoP' : 'Bearer', scope }
}

/**
 * @param {ServerMetadata} server
 * @param {Pending} pending
 * @param {string} refreshToken
 */
export async function revoke(server, { clientId }, refreshToken) {
  const answered = await send(server['revocation_endpoint'], {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: refreshToken, token_type_hint: 'refresh_token', client_id: clientId }).toString()
  })
  if (answered.status !== 200) throw refused('The authorization server revoked nothing', answered)
}

/** @param {string} url */
async function getJson(url) {
  const answered = await send(url)
  if (answered.status !== 200) throw refused(`${url} should have answered 200`, answered)
  return answered.json()
}

/** Whether a URL is of this resource: of its origin, and under its path. @param {string} url @param {string} resource */
function isPartOf(url, resource) {
  if (!URL.canParse(resource)) return false
  const { origin, pathname } = new URL(resource)
  const path = pathname.replace(/\/$/, '')
  const other = new URL(url)
  return other.origin === origin && `${other.pathname}/`.startsWith(`${path}/`)
}

/** @param {string} what @param {import('./http.js').Exchange} exchange */
function refused(what, { status, body }) {
  return new Problem(`${what}: ${status} ${body.slice(0, 300)}`, 'The exchange below says more.')
}
