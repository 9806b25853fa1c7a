// @ts-check
/** The physical limit: `crypto.verify` with an imported key, and nothing else. */
import { createPublicKey, verify } from 'node:crypto'

/** @param {string} authorization */
const split = (authorization) => {
  const token = authorization.slice(7)
  const dot = token.lastIndexOf('.')
  return {
    alg: JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString()).alg,
    input: Buffer.from(token.slice(0, dot), 'latin1'),
    signature: Buffer.from(token.slice(dot + 1), 'base64url')
  }
}

/** @param {import('../lib/types.d.ts').Setup} setup */
const keysOf = ({ jwks }) => {
  const key = (/** @type {string} */ alg) => ({
    key: createPublicKey({ key: /** @type {any} */ (jwks.keys.find((one) => one.alg === alg)), format: 'jwk' }),
    dsaEncoding: /** @type {const} */ ('ieee-p1363')
  })
  return { RS256: key('RS256'), ES256: key('ES256') }
}

/** By the header, which has the key. @type {Map<string, import('node:crypto').VerifyKeyObjectInput>} */
const proofKeys = new Map()

/** @param {import('../lib/types.d.ts').Proof} request */
const splitProof = ({ proof }) => {
  const { input, signature } = split(`Bearer ${proof}`)
  const header = proof.slice(0, proof.indexOf('.'))
  const { jwk } = JSON.parse(Buffer.from(header, 'base64url').toString())
  const key = proofKeys.get(header) ?? { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }
  proofKeys.set(header, key)
  return { input, signature, key }
}

/** In a handler the input has to be made as well. @param {import('../lib/types.d.ts').Setup} setup */
const inHandler = (setup) => {
  const keys = keysOf(setup)
  return (/** @type {string | undefined} */ authorization = '') => {
    const token = authorization.slice(7)
    const dot = token.lastIndexOf('.')
    const signature = Buffer.from(token.slice(dot + 1), 'base64url')
    const key = signature.length === 64 ? keys.ES256 : keys.RS256
    if (!verify('sha256', Buffer.from(token.slice(0, dot), 'latin1'), key, signature)) throw new Error('bad')
  }
}

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'raw crypto.verify',
  packages: [],
  prepare: split,
  verifyPrepared: (setup) => {
    const keys = keysOf(setup)
    return ({ alg, input, signature }) => {
      if (!verify('sha256', input, keys[/** @type {'RS256'} */ (alg)], signature)) throw new Error('bad signature')
    }
  },
  prepareProof: splitProof,
  verifyPreparedProof:
    () =>
    (/** @type {ReturnType<typeof splitProof>} */ { input, signature, key }) => {
      if (!verify('sha256', input, key, signature)) throw new Error('bad signature')
    },
  verify: inHandler,
  express: (setup) => {
    const check = inHandler(setup)
    return (/** @type {any} */ request, /** @type {any} */ _response, /** @type {() => void} */ next) => {
      check(request.headers.authorization)
      next()
    }
  },
  koa: (setup) => {
    const check = inHandler(setup)
    return (/** @type {any} */ ctx, /** @type {() => Promise<void>} */ next) => {
      check(ctx.headers.authorization)
      return next()
    }
  },
  fastify: async (setup) => {
    const check = inHandler(setup)
    return {
      onRequest: (/** @type {any} */ request, /** @type {any} */ _reply, /** @type {() => void} */ done) => {
        check(request.headers.authorization)
        done()
      }
    }
  }
}
