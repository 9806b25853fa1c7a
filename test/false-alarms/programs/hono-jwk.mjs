// @ts-check
/** The middleware jwk of Hono, as its documentation says. */
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { jwk } from 'hono/jwk'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
const app = new Hono()
app.use(
  '/orders',
  jwk({ jwks_uri: `${ISSUER}/keys`, alg: ['RS256'], verification: { iss: ISSUER, aud: AUDIENCE, typ: 'at+jwt' } })
)
app.get('/orders', (context) => context.json({ subject: /** @type {any} */ (context).get('jwtPayload').sub }))
serve({ fetch: app.fetch, port: Number(PORT), hostname: '127.0.0.1' })
