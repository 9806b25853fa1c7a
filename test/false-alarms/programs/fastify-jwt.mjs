// @ts-check
/** @fastify/jwt with the keys of get-jwks, as the README of get-jwks says. */
import fastifyJwt from '@fastify/jwt'
import fastify from 'fastify'
import buildGetJwks from 'get-jwks'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
const app = fastify()
const keys = buildGetJwks({ issuersWhitelist: [ISSUER], jwksPath: 'keys' })
app.register(fastifyJwt, {
  decode: { complete: true },
  secret: (/** @type {any} */ _request, /** @type {any} */ token, /** @type {any} */ callback) => {
    const { kid, alg } = token.header
    void keys
      .getPublicKey({ kid, alg, domain: token.payload.iss })
      .then((/** @type {string} */ key) => callback(null, key), callback)
  },
  verify: { allowedIss: ISSUER, allowedAud: AUDIENCE, algorithms: ['RS256'] }
})
app.addHook('onRequest', async (request) => {
  await request.jwtVerify()
})
app.get('/orders', (request) => ({ subject: /** @type {any} */ (request.user).sub }))
await app.listen({ port: Number(PORT), host: '127.0.0.1' })
