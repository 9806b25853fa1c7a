// @ts-check
/**
 * The adapters of this package, called as their frameworks call them but without the frameworks: for the last tenth of
 * a microsecond, which no measurement over HTTP can see.
 */

const noop = () => undefined
const next = () => Promise.resolve()

/** @param {string} authorization */
const requestOf = (authorization) => ({
  method: 'GET',
  url: '/items',
  originalUrl: '/items',
  rawHeaders: ['Host', '127.0.0.1:3000', 'Authorization', authorization, 'Connection', 'keep-alive'],
  headers: { host: '127.0.0.1:3000', authorization, connection: 'keep-alive' },
  socket: { remoteAddress: '127.0.0.1' }
})
const response = { headersSent: false, getHeader: noop, setHeader: noop, header: noop }

/**
 * @param {(done: (error?: unknown) => void) => void} call
 * @returns {unknown} undefined or a promise of it, as soon as `done` was called; throws or rejects with its error
 */
function settled(call) {
  /** @type {{ readonly error: unknown } | undefined} */
  let outcome
  let settle = (/** @type {unknown} */ error) => {
    outcome = { error }
  }
  call((error) => settle(error))
  if (outcome === undefined) {
    return new Promise((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve(undefined) : reject(error))
    })
  }
  if (outcome.error !== undefined) throw outcome.error
  return undefined
}

/** @type {Record<string, (handler: any) => import('./types.d.ts').Verify>} */
export const handlers = {
  express: (handler) => (authorization) => settled((done) => handler(requestOf(authorization), response, done)),
  koa: (handler) => (authorization) => {
    const req = requestOf(authorization)
    return handler({ req, res: response, originalUrl: req.url, url: req.url, state: {}, set: noop }, next)
  },
  fastify: (handler) => (authorization) => {
    const raw = requestOf(authorization)
    const request = { raw, originalUrl: raw.url, headers: raw.headers, auth: null }
    return settled((done) => handler(request, response, done))
  }
}
