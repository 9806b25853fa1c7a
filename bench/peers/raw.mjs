// @ts-check
/**
 * The physical limit: `crypto.verify` with an imported key, and nothing else. An ES256 signature comes as DER, which is
 * what OpenSSL takes: `dsaEncoding: 'ieee-p1363'` would have Node make DER of it in each call.
 */
import { createPublicKey, verify } from 'node:crypto'
import { derOf } from '../lib/der.mjs'

/** @param {string} authorization */
const split = (authorization) => {
  const token = authorization.slice(7)
  const dot = token.lastIndexOf('.')
  return {
    alg: JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString()).alg,
    input: Buffer.from(token.slice(0, dot), 'latin1'),
    signature: signatureOf(token.slice(dot + 1))
  }
}

/** @param {string} text */
function signatureOf(text) {
  const signature = Buffer.from(text, 'base64url')
  return signature.length === 64 ? derOf(signature) : signature
}

/** @param {import('../lib/types.d.ts').Setup} setup */
const keysOf = ({ jwks }) => {
  const key = (/** @type {string} */ alg) =>
    createPublicKey({ key: /** @type {any} */ (jwks.keys.find((one) => one.alg === alg)), format: 'jwk' })
  return { RS256: key('RS256'), ES256: key('ES256') }
}

/** By the header, which has the key. @type {Map<string, import('node:crypto').KeyObject>} */
const proofKeys = new Map()

/** @param {import('../lib/types.d.ts').Proof} request */
const splitProof = ({ proof }) => {
  const { input, signature } = split(`Bearer ${proof}`)
  const header = proof.slice(0, proof.indexOf('.'))
  const { jwk } = JSON.parse(Buffer.from(header, 'base64url').toString())
  const key = proofKeys.get(header) ?? createPublicKey({ key: jwk, format: 'jwk' })
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
    const input = Buffer.from(token.slice(0, dot), 'latin1')
    const isGood =
      signature.length === 64
        ? verify('sha256', input, keys.ES256, derOf(signature))
        : verify('sha256', input, keys.RS256, signature)
    if (!isGood) throw new Error('bad')
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
  hono: (setup) => {
    const check = inHandler(setup)
    return (/** @type {any} */ c, /** @type {() => Promise<void>} */ next) => {
      check(c.req.header('Authorization'))
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
