// @ts-check
/**
 * `@fastify/jwt` with get-jwks, as get-jwks' README shows. With `variant.pem`, a PEM in its settings, as its own README
 * shows, RS256 only; with `variant.cache`, its token cache, as large as ours.
 */
import { createPublicKey } from 'node:crypto'
import fastifyJwt from '@fastify/jwt'
import buildGetJwks from 'get-jwks'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: '@fastify/jwt + get-jwks',
  packages: ['@fastify/jwt', 'get-jwks'],
  fastify: async ({ issuer, audience, jwks, variant }, app) => {
    const guarded = { onRequest: async (/** @type {any} */ request) => request.jwtVerify() }
    const cache = variant?.['cache'] ? { cache: 10_000 } : {}
    if (variant?.['pem']) {
      const key = createPublicKey({
        key: /** @type {any} */ (jwks.keys.find(({ alg }) => alg === 'RS256')),
        format: 'jwk'
      })
      await app.register(/** @type {any} */ (fastifyJwt), {
        secret: { public: key.export({ type: 'spki', format: 'pem' }).toString() },
        verify: { allowedIss: issuer, allowedAud: audience, algorithms: ['RS256'], ...cache }
      })
      return guarded
    }
    const getJwks = /** @type {any} */ (buildGetJwks)({ issuersWhitelist: [issuer] })
    await app.register(/** @type {any} */ (fastifyJwt), {
      decode: { complete: true },
      secret: (/** @type {any} */ _request, /** @type {any} */ { header, payload }, /** @type {any} */ callback) => {
        getJwks
          .getPublicKey({ kid: header.kid, domain: payload.iss, alg: header.alg })
          .then((/** @type {string} */ key) => callback(null, key), callback)
      },
      verify: { allowedIss: issuer, allowedAud: audience, algorithms: ['RS256', 'ES256'], ...cache }
    })
    return guarded
  }
}
