// @ts-check
/** The walk, as long as the authorization server stays as it is: what is sent, what must come back, and why. */
import * as oauth from 'oauth4webapi'
import { TWO_FACTORS } from './apis.mjs'
import { tamper, unsign } from './forge.mjs'
import { BILLING, BRIEF, RESOURCES } from './resources.mjs'
import { send } from './send.mjs'

const signature = 'The access token signature could not be verified'
/** @param {string} token */
const bearer = (token) => [`Bearer ${token}`]
/** @param {string} description @param {string} [scope] */
const invalid = (description, scope = 'orders:read') => ({ status: 401, error: 'invalid_token', description, scope })
/** @param {string} name */
const subjectIs =
  (name) =>
  (/** @type {import('./send.mjs').Answer} */ { body }) =>
    JSON.parse(body).subject === name

const orders = { method: 'GET', path: '/orders' }
const write = { method: 'POST', path: '/orders' }
const payouts = { method: 'GET', path: '/payouts' }
const me = { method: 'GET', path: '/me' }
const feed = { method: 'GET', path: '/feed' }

/**
 * @param {import('./walk.mjs').World} world
 * @returns {import('./walk.mjs').Group[]} in an order that matters: the clock only moves ahead
 */
export function createCases({ as, client, apis, clock, tokens }) {
  /** @param {'RS256' | 'PS256' | 'ES256' | 'EdDSA'} algorithm @param {string} why @returns {import('./walk.mjs').Case} */
  const goodJwt = (algorithm, why) => ({
    title: `JWT signed with ${algorithm}`,
    why,
    ...orders,
    authorization: bearer(tokens[algorithm]),
    expect: { status: 200 }
  })

  /** One proof for each API, however often it is asked for. @type {Map<string, Promise<string>>} */
  const proofs = new Map()
  /** @param {import('./walk.mjs').RunningApi} api */
  const proveOnce = ({ origin }) => {
    const proof = proofs.get(origin) ?? tokens.dpop.prove('GET', `${origin}/orders`)
    proofs.set(origin, proof)
    return proof
  }

  return [
    {
      title: 'Let in',
      cases: [
        goodJwt('RS256', 'The first token: metadata (RFC 8414) and keys are fetched, then kept.'),
        goodJwt('PS256', 'Verified with the key set fetched before; nothing is fetched.'),
        goodJwt('ES256', 'The key decides which algorithm may be used, not the token.'),
        goodJwt('EdDSA', 'Four algorithms, one configuration.'),
        {
          title: 'JWT of a user, by code and PKCE',
          why: 'Alice logged in and agreed: the subject is hers, the client is the app.',
          ...me,
          authorization: bearer(tokens.alice.accessToken),
          expect: { status: 200, check: subjectIs('alice') }
        },
        {
          title: 'Opaque token',
          why: 'Not a JWT, so the authorization server is asked about it (RFC 7662).',
          ...orders,
          authorization: bearer(tokens.opaque),
          expect: { status: 200 }
        },
        {
          title: 'Opaque token of a user, by code and PKCE',
          why: 'The introspection answer gives the same access as a JWT’s claims.',
          ...me,
          authorization: bearer(tokens.aliceOpaque.accessToken),
          expect: { status: 200, check: subjectIs('alice') }
        },
        {
          title: 'Write with orders:write',
          why: 'Each route names the scopes it needs.',
          ...write,
          authorization: bearer(tokens.writer),
          expect: { status: 201 }
        },
        {
          title: 'No token where it is optional',
          why: 'GET /feed is protected with `optional`: a missing token passes.',
          ...feed,
          expect: { status: 200, check: ({ body }) => JSON.parse(body).for === 'everybody' }
        },
        {
          title: 'Protected resource metadata',
          why: 'RFC 9728: how a client finds the authorization server; read by oauth4webapi.',
          method: 'GET',
          path: '/.well-known/oauth-protected-resource',
          expect: {
            status: 200,
            check: async ({ body }, { origin }) => {
              const response = new Response(body, { headers: { 'content-type': 'application/json' } })
              const document = await oauth.processResourceDiscoveryResponse(new URL(origin), response)
              return document.authorization_servers?.[0] === as.issuer
            }
          }
        }
      ]
    },
    {
      title: 'Tokens that only their own client can use (DPoP, RFC 9449)',
      cases: [
        {
          title: 'DPoP: the token and a proof by its key',
          why: 'The proof is signed for this method, URL and token, and works once.',
          ...orders,
          authorization: [`DPoP ${tokens.dpop.token}`],
          proof: proveOnce,
          expect: { status: 200 }
        },
        {
          title: 'DPoP: the same proof again',
          why: 'An attacker recorded it: a used proof is refused.',
          ...orders,
          authorization: [`DPoP ${tokens.dpop.token}`],
          proof: proveOnce,
          expect: {
            status: 401,
            error: 'invalid_dpop_proof',
            description: 'DPoP proof has been used already',
            scope: 'orders:read',
            scheme: 'DPoP'
          }
        },
        {
          title: 'DPoP: the stolen token as Bearer',
          why: 'The token says itself that it is bound (`cnf.jkt`); nothing was configured.',
          ...orders,
          authorization: bearer(tokens.dpop.token),
          expect: invalid('DPoP-bound access token used with the Bearer scheme')
        }
      ]
    },
    {
      title: 'A route that requires a stronger login (step-up, RFC 9470)',
      cases: [
        {
          title: 'Step-up: Alice logged in with a password',
          why: 'The challenge names the login that she needs at the authorization server.',
          ...payouts,
          authorization: bearer(tokens.alice.accessToken),
          expect: {
            status: 401,
            error: 'insufficient_user_authentication',
            description: 'A different authentication level is required',
            acr: TWO_FACTORS
          }
        },
        {
          title: 'Step-up: Alice came back with a second factor',
          why: 'The app asked for these `acr_values`, and the new token says so in `acr`.',
          ...payouts,
          authorization: bearer(tokens.aliceTwice.accessToken),
          expect: { status: 200 }
        }
      ]
    },
    {
      title: 'Requests without a token, or with a malformed one',
      cases: [
        {
          title: 'No token',
          why: 'No error code: the token is missing, not wrong (RFC 6750 §3.1).',
          ...orders,
          expect: { status: 401, scope: 'orders:read' }
        },
        {
          title: 'Token in the query',
          why: 'Never read: URLs end up in logs (RFC 9700 §4.3.2). Same as no token.',
          method: 'GET',
          path: `/orders?access_token=${tokens.RS256}`,
          expect: { status: 401, scope: 'orders:read' }
        },
        {
          title: 'Malformed Authorization header',
          why: 'One scheme, one space, one token (RFC 6750 §2.1).',
          ...orders,
          authorization: ['Bearer two words'],
          expect: { status: 400, error: 'invalid_request', description: 'Malformed Authorization header' }
        },
        {
          title: 'Two Authorization lines',
          why: 'Which one counts? Both are good, and Node’s own headers hide the second.',
          ...orders,
          authorization: [...bearer(tokens.RS256), ...bearer(tokens.ES256)],
          expect: {
            status: 400,
            error: 'invalid_request',
            description: 'Multiple methods used to include access token'
          }
        }
      ]
    },
    {
      title: 'Tokens that are refused',
      cases: [
        {
          title: 'Scope that is not enough',
          why: 'A good token for reading. The challenge names the scope to come back with.',
          ...write,
          authorization: bearer(tokens.RS256),
          expect: {
            status: 403,
            error: 'insufficient_scope',
            description: 'The access token lacks a required scope',
            scope: 'orders:write'
          }
        },
        {
          title: 'Payload changed',
          why: 'orders:write was written into the payload: the signature does not fit.',
          ...write,
          authorization: bearer(tamper(tokens.RS256, { scope: 'orders:read orders:write' })),
          expect: invalid(signature, 'orders:write')
        },
        {
          title: 'alg: none',
          why: 'The same token without a signature. There is no option that allows it.',
          ...orders,
          authorization: bearer(unsign(tokens.RS256)),
          expect: invalid(signature)
        },
        {
          title: 'Audience of another API',
          why: `A good token of the same server, for ${BILLING}.`,
          ...orders,
          authorization: bearer(tokens.billing),
          expect: invalid('The access token audience is not accepted')
        },
        {
          title: 'ID token',
          why: 'It tells the app who logged in; no API accepts it (`typ` is not at+jwt).',
          ...orders,
          authorization: bearer(tokens.alice.idToken),
          expect: invalid('The token is not an access token')
        },
        {
          title: 'Bad token where it is optional',
          why: 'Optional lets a missing token pass, never a bad one.',
          ...feed,
          authorization: bearer(unsign(tokens.ES256)),
          expect: { ...invalid(signature), scope: '' }
        },
        {
          title: 'Expired',
          why: `Good for ${BRIEF} s. The APIs’ clock was set 2 minutes ahead, so the demo need not wait.`,
          ...orders,
          authorization: async () => {
            const token = await client.clientCredentials(RESOURCES.brief, 'orders:read')
            clock.ahead += 120
            return bearer(token)
          },
          expect: invalid('The access token expired')
        },
        {
          title: 'Opaque token, just revoked',
          why: 'Still accepted: “active” is cached for 30 s (the option `cacheFor`).',
          ...orders,
          authorization: async () => {
            for (const { origin } of apis) await send('GET', `${origin}/orders`, bearer(tokens.revoked))
            await client.revoke(tokens.revoked)
            return bearer(tokens.revoked)
          },
          expect: { status: 200 }
        },
        {
          title: 'Opaque token, revoked half a minute ago',
          why: 'The same token, the APIs’ clock set 31 s ahead: the server is asked again.',
          ...orders,
          authorization: async () => {
            clock.ahead += 31
            return bearer(tokens.revoked)
          },
          expect: invalid('The access token is not active')
        }
      ]
    }
  ]
}
