// @ts-check
/** The requests that this page can send with its token: the right one, and those that break one thing each. */
import { getVariant, revoke } from './oauth.js'

/** @typedef {import('./playground.js').Session} Session */
/**
 * One request to the API.
 * @typedef {object} Call
 * @property {string} title
 * @property {string} url
 * @property {string} [method]
 * @property {string} [body]
 * @property {string | null} [token] instead of the session's; null: none
 * @property {string} [scheme] instead of the session's
 * @property {string} [proof] one that was used before
 * @property {string} [note] what the answer means, if it may surprise
 */
/**
 * @typedef {object} Break
 * @property {string} id
 * @property {string} title on its button
 * @property {string} about what is sent
 * @property {(session: Session) => string | undefined} [lacks] the reason that it cannot be tried here
 * @property {(session: Session, call: (call: Call) => Promise<string | undefined>) => Promise<unknown>} run
 */

const NEEDS_KEY = 'Start over with DPoP: it needs a token that is bound to a key.'
const NEEDS_VARIANTS =
  'No authorization server issues such a token on request. The one for development does: npx oauth-resource-server issuer.'
const TITLES = { expired: 'An expired token', audience: 'A token for another API', scope: 'A token without the scope' }

/** @param {'expired' | 'audience' | 'scope'} change @returns {Pick<Break, 'lacks' | 'run'>} */
function faulty(change) {
  return {
    lacks: ({ found: { server, offer } }) =>
      offer?.breaks[change] !== undefined || server['development_variant_endpoint'] !== undefined
        ? undefined
        : NEEDS_VARIANTS,
    run: async ({ found, tokens }, call) => {
      const offered = found.offer?.breaks[change]
      if (offered !== undefined) return call({ title: TITLES[change], ...elsewhere(found.url, offered) })
      const token = await getVariant(found.server, tokens.accessToken, change)
      return call({ title: TITLES[change], url: found.url, token })
    }
  }
}

/** @type {readonly Break[]} */
export const BREAKS = [
  {
    id: 'good',
    title: 'Call the API',
    about: 'the token as it is',
    run: ({ found }, call) => call({ title: 'The token as it is', url: found.url })
  },
  {
    id: 'none',
    title: 'No token',
    about: 'no Authorization header',
    run: ({ found }, call) => call({ title: 'No token', url: found.url, token: null })
  },
  { id: 'expired', title: 'Expired', about: 'its time is over', ...faulty('expired') },
  { id: 'audience', title: 'Wrong audience', about: 'issued for another API', ...faulty('audience') },
  { id: 'scope', title: 'Missing scope', about: 'not allowed to do this', ...faulty('scope') },
  {
    id: 'tampered',
    title: 'Tampered',
    about: 'one character of it changed',
    run: ({ found, tokens }, call) =>
      call({ title: 'One character of its signature changed', url: found.url, token: tamper(tokens.accessToken) })
  },
  {
    id: 'replay',
    title: 'Replayed proof',
    about: 'the same DPoP proof twice',
    lacks: ({ key }) => (key === undefined ? NEEDS_KEY : undefined),
    run: async ({ found }, call) => {
      const proof = await call({ title: 'A proof, used for the first time', url: found.url })
      if (proof !== undefined) await call({ title: 'The same proof again', url: found.url, proof })
    }
  },
  {
    id: 'downgrade',
    title: 'Stolen token',
    about: 'without the key it is bound to',
    lacks: ({ key }) => (key === undefined ? NEEDS_KEY : undefined),
    run: ({ found }, call) => call({ title: 'The token without its key', url: found.url, scheme: 'Bearer' })
  },
  {
    id: 'revoke',
    title: 'Revoke',
    about: 'takes the grant back, for good',
    lacks: ({ found: { server } }) =>
      server['revocation_endpoint'] === undefined
        ? `${server.issuer} has no revocation_endpoint (RFC 7009).`
        : undefined,
    run: async ({ found, tokens }, call) => {
      await revoke(found.server, tokens)
      const where = elsewhere(found.url, found.offer?.breaks['revoke'] ?? {})
      const note =
        'Still accepted? Then the API verified the JWT by itself, and its time is not over. An API that must know at once asks the server each time: fresh().'
      await call({ title: 'After the revocation', ...where, note })
    }
  }
]

/** @param {string} url @param {{ prefix?: string, path?: string, method?: string, body?: string }} place */
function elsewhere(url, { prefix = '', path, method, body }) {
  const { origin, pathname } = new URL(url)
  return {
    url: `${origin}${prefix}${path ?? pathname}`,
    ...(method !== undefined && { method }),
    ...(body !== undefined && { body })
  }
}

/** Changes one character of the signature of a JWT, or the last one of another token. @param {string} token */
function tamper(token) {
  const signature = token.split('.')[2] ?? ''
  // In the middle: the last character of a signature has bits that mean nothing.
  const place = token.length - 1 - Math.floor(signature.length / 2)
  return `${token.slice(0, place)}${token[place] === 'A' ? 'B' : 'A'}${token.slice(place + 1)}`
}
