// @ts-check
/**
 * Hono's `jwk` middleware. It is given the keys: its `jwks_uri` is fetched for each request. In process it is called as
 * Hono would call it.
 */
import { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { jwk } from 'hono/jwk'

/** @param {import('../lib/types.d.ts').Setup} setup */
const middleware = ({ issuer, audience, jwks }) =>
  jwk({
    keys: /** @type {any} */ (jwks.keys),
    alg: ['RS256', 'ES256'],
    verification: { iss: issuer, aud: audience, typ: 'at+jwt' }
  })

const next = () => Promise.resolve()

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'Hono jwk',
  packages: ['hono', '@hono/node-server'],
  verify: (setup) => {
    const handler = middleware(setup)
    return (authorization) =>
      handler(new Context(new Request('https://api.example.com/items', { headers: { authorization } })), next)
  },
  refuse: (error) => {
    if (!(error instanceof HTTPException)) throw error
    return { headers: Object.fromEntries(error.getResponse().headers), body: error.message }
  },
  hono: middleware
}
