// @ts-check
/** What every middleware costs that leaves something on a request: this one does nothing else, and protects nothing. */

const AUTH = Object.freeze({})

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'sets `auth`, and nothing else',
  packages: [],
  express: () => (/** @type {any} */ request, /** @type {any} */ _response, /** @type {() => void} */ next) => {
    request.auth = AUTH
    next()
  },
  koa: () => (/** @type {any} */ ctx, /** @type {() => Promise<void>} */ next) => {
    ctx.state.auth = AUTH
    return next()
  },
  hono: () => (/** @type {any} */ c, /** @type {() => Promise<void>} */ next) => {
    c.set('auth', AUTH)
    return next()
  },
  fastify: async (_setup, app) => {
    app.decorateRequest('auth', null)
    app.addHook('onRequest', (/** @type {any} */ request, _reply, done) => {
      request.auth = AUTH
      done()
    })
    return {}
  }
}
