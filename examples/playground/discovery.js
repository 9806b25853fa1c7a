// @ts-check
/**
 * From the URL of a protected API to its authorization server: the challenge (RFC 6750), the metadata of the API (RFC
 * 9728) and of the server (RFC 8414, OpenID Connect Discovery).
 */
import { Problem, readChallenges, relay, send } from './http.js'

/** @typedef {{ issuer: string } & Record<string, any>} ServerMetadata */
/**
 * What an API offers to this page, in the member `playground` of its metadata. The example API does.
 * @typedef {object} Offer
 * @property {string} verdicts the URL of its verdicts, without their identifier
 * @property {Record<string, { prefix?: string, path?: string, method?: string, body?: string }>} breaks
 */
/**
 * @typedef {object} Discovered
 * @property {string} url the protected URL
 * @property {string} resource
 * @property {string[]} scopes to ask for
 * @property {string} needed scopes of the route, as its challenge names them
 * @property {ServerMetadata} server
 * @property {Offer} [offer]
 */
/** @typedef {{ url: string, server: string, scope: string }} Known */

/**
 * @param {Known} known the URL, and what the person entered because the API does not say it
 * @returns {Promise<Discovered>}
 * @throws {Problem} the first document that is missing or wrong
 */
export async function discover({ url, server: enteredServer, scope: enteredScope }) {
  const refused = await sendWithoutToken(url)
  const { resource_metadata: place, scope: needed = '' } = bearerParameters(refused)
  if (place === undefined) {
    if (enteredServer === '') throw unprotected(url, refused)
    const server = await getServer(enteredServer)
    return { url, resource: new URL(url).origin, scopes: split(enteredScope || needed), needed, server }
  }
  const metadata = await getJson(place, { to: 'api', step: 'resource' })
  const { resource, authorization_servers: servers, scopes_supported: supported = [], playground } = metadata
  // Otherwise the metadata of another API could send this page, and its token, anywhere (RFC 9728 §3.3).
  if (typeof resource !== 'string' || !isPartOf(url, resource))
    throw new Problem(
      `The metadata at ${place} describe ${resource}, but the URL is ${url}.`,
      "Set the API's `resource` to the URL that its clients use."
    )
  const [issuer] = enteredServer === '' ? [servers].flat() : [enteredServer]
  if (typeof issuer !== 'string')
    throw new Problem(
      `The metadata at ${place} name no authorization server.`,
      'Add `authorization_servers` to them, or enter the server under “More settings”.'
    )
  const server = await getServer(issuer)
  const scopes = split(enteredScope || needed || supported.join(' '))
  return { url, resource, scopes: withOffered(scopes, supported, playground), needed, server, offer: playground }
}

/** The example API offers a second scope, so that a token has more than one. @param {string[]} scopes @param {string[]} supported @param {unknown} offer */
function withOffered(scopes, supported, offer) {
  return offer === undefined ? scopes : [...new Set([...scopes, ...supported.filter((one) => one.endsWith(':read'))])]
}

/** @param {string} url */
async function sendWithoutToken(url) {
  const message = { to: /** @type {const} */ ('api'), step: 'challenge' }
  const answer = await send(url, message)
  if (answer.status !== 401 || answer.field('www-authenticate') !== null || answer.isRelayed) return answer
  // A field that is not exposed is invisible to this page, and not to the playground's server.
  return relay(url, message)
}

/** @param {import('./http.js').Answered} answer @returns {Record<string, string>} of the first challenge that has them */
function bearerParameters(answer) {
  const challenges = readChallenges(answer.field('www-authenticate') ?? '')
  const parameters = challenges.map((one) => one.parameters)
  return parameters.find(({ resource_metadata: place }) => place !== undefined) ?? parameters[0] ?? {}
}

/** @param {string} url @param {import('./http.js').Answered} answer */
function unprotected(url, { status, field }) {
  if (status === 404) return new Problem(`There is nothing at ${url}: 404.`, 'Enter a URL that a token opens.')
  if (status < 400)
    return new Problem(
      `${url} is not protected: it answered ${status} without a token.`,
      'Enter a URL that a token opens.'
    )
  if (status !== 401)
    return new Problem(`${url} answered ${status} to a request without a token, instead of 401.`, 'Look at its log.')
  const challenge = field('www-authenticate')
  return new Problem(
    challenge === null
      ? `${url} answered 401 without a challenge (WWW-Authenticate, RFC 9110 §11.6.1).`
      : `The challenge of ${url} does not name its metadata (resource_metadata, RFC 9728 §5.1).`,
    'Enter its authorization server under “More settings”.'
  )
}

/**
 * @param {string} issuer
 * @returns {Promise<ServerMetadata>}
 */
async function getServer(issuer) {
  if (!URL.canParse(issuer))
    throw new Problem(`“${issuer}” is not a URL.`, 'Enter the issuer, such as https://as.example.com.')
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const message = { to: /** @type {const} */ ('server'), step: 'server' }
  const places = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`
  ]
  let last = ''
  for (const place of new Set(places)) {
    const answer = await send(place, message)
    last = `${place} answered ${answer.status}.`
    if (answer.status !== 200) continue
    const server = /** @type {ServerMetadata} */ (answer.json())
    if (server.issuer !== issuer)
      throw new Problem(
        `The authorization server calls itself ${server.issuer}, and the API calls it ${issuer}.`,
        'The two must be the same text, down to a final slash (RFC 8414 §3.3).'
      )
    return server
  }
  throw new Problem(
    `${issuer} publishes no metadata: ${last}`,
    'Is it the issuer of an authorization server (RFC 8414)?'
  )
}

/** @param {string} url @param {import('./http.js').Message} message */
async function getJson(url, message) {
  const answer = await send(url, message)
  if (answer.status !== 200)
    throw new Problem(
      `${url} should have answered 200, and answered ${answer.status}.`,
      'Is the metadata route mounted before the route that wants a token?'
    )
  return answer.json()
}

/** Whether a URL has the origin of this resource, and its path. @param {string} url @param {string} resource */
function isPartOf(url, resource) {
  if (!URL.canParse(resource)) return false
  const { origin, pathname } = new URL(resource)
  const path = pathname.replace(/\/$/, '')
  const other = new URL(url)
  return other.origin === origin && `${other.pathname}/`.startsWith(`${path}/`)
}

/** @param {string} scope */
function split(scope) {
  return scope.split(' ').filter(Boolean)
}
