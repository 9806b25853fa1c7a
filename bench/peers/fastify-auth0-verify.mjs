// @ts-check
/** As its README; RS256 only. */
import auth0Verify from 'fastify-auth0-verify'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'fastify-auth0-verify',
  packages: ['fastify-auth0-verify'],
  fastify: async ({ issuer, audience }, app) => {
    await app.register(/** @type {any} */ (auth0Verify), { domain: issuer, audience, issuer })
    return { onRequest: /** @type {any} */ (app)['authenticate'] }
  }
}
