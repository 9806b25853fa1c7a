// @ts-check
/**
 * A synchronous verifier for each algorithm, its PEM given once: the fastest that its README describes. With
 * `variant.cache`, its token cache, as large as ours; with `variant.cache: 'token'`, the token is the key of that cache,
 * which its README describes as faster than the digest that is the default. In a framework: a hook written by hand.
 */
import { createPublicKey } from 'node:crypto'
import { createVerifier } from 'fast-jwt'

const itself = (/** @type {any} */ token) => token

/** @param {import('../lib/types.d.ts').Setup} setup @returns {(authorization: string) => unknown} */
function verify({ issuer, audience, jwks, variant }) {
  const cache = variant?.['cache']
  const verifier = (/** @type {'RS256' | 'ES256'} */ alg) =>
    createVerifier({
      key: createPublicKey({ key: /** @type {any} */ (jwks.keys.find((one) => one.alg === alg)), format: 'jwk' })
        .export({ type: 'spki', format: 'pem' })
        .toString(),
      algorithms: [alg],
      allowedIss: issuer,
      allowedAud: audience,
      ...(cache ? { cache: 10_000 } : {}),
      ...(cache === 'token' ? { cacheKeyBuilder: itself } : {})
    })
  const [rs256, es256] = [verifier('RS256'), verifier('ES256')]
  // One verifier is for one kind of key; a real API would have only one. Short tokens are the ES256 ones.
  return (authorization) =>
    (authorization.length < 750 && authorization.length > 600 ? es256 : rs256)(authorization.slice(7))
}

/** A field that is missing is refused with the rest. @param {import('../lib/types.d.ts').Setup} setup */
const inHandler = (setup) => {
  const check = verify(setup)
  return (/** @type {string | undefined} */ authorization = '') => {
    if (!authorization.startsWith('Bearer ')) throw new Error('no token')
    return check(authorization)
  }
}

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'fast-jwt',
  packages: ['fast-jwt'],
  verify,
  express: (setup) => {
    const check = inHandler(setup)
    return (/** @type {any} */ request, /** @type {any} */ response, /** @type {() => void} */ next) => {
      try {
        request.auth = check(request.headers.authorization)
      } catch {
        return response.status(401).set('WWW-Authenticate', 'Bearer error="invalid_token"').end()
      }
      next()
    }
  },
  koa: (setup) => {
    const check = inHandler(setup)
    return (/** @type {any} */ ctx, /** @type {() => Promise<void>} */ next) => {
      try {
        ctx.state.auth = check(ctx.headers.authorization)
      } catch {
        ctx.status = 401
        ctx.set('WWW-Authenticate', 'Bearer error="invalid_token"')
        return Promise.resolve()
      }
      return next()
    }
  },
  hono: (setup) => {
    const check = inHandler(setup)
    return (/** @type {any} */ c, /** @type {() => Promise<void>} */ next) => {
      try {
        c.set('auth', check(c.req.header('Authorization')))
      } catch {
        return c.body(null, 401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })
      }
      return next()
    }
  },
  fastify: async (setup, app) => {
    const check = inHandler(setup)
    app.decorateRequest('auth', null)
    return {
      onRequest: (/** @type {any} */ request, /** @type {any} */ reply, /** @type {() => void} */ done) => {
        try {
          request.auth = check(request.headers.authorization)
        } catch {
          return reply.code(401).header('WWW-Authenticate', 'Bearer error="invalid_token"').send()
        }
        done()
      }
    }
  }
}
