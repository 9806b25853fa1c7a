// @ts-check
/** `@fastify/jwt` with get-jwks, as get-jwks' README shows. */
import fastifyJwt from '@fastify/jwt'
import buildGetJwks from 'get-jwks'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: '@fastify/jwt + get-jwks',
  packages: ['@fastify/jwt', 'get-jwks'],
  fastify: async ({ issuer, audience }, app) => {
    const getJwks = /** @type {any} */ (buildGetJwks)({ issuersWhitelist: [issuer] })
    await app.register(/** @type {any} */ (fastifyJwt), {
      decode: { complete: true },
      secret: (/** @type {any} */ _request, /** @type {any} */ { header, payload }, /** @type {any} */ callback) => {
        getJwks
          .getPublicKey({ kid: header.kid, domain: payload.iss, alg: header.alg })
          .then((/** @type {string} */ key) => callback(null, key), callback)
      },
      verify: { allowedIss: issuer, allowedAud: audience, algorithms: ['RS256', 'ES256'] }
    })
    return { onRequest: async (/** @type {any} */ request) => request.jwtVerify() }
  }
}
