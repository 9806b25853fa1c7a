// @ts-check
/** `auth()` as its README, with discovery; in process it is called as Express would call it. */
import { auth } from 'express-oauth2-jwt-bearer'

/** @param {(request: any, response: any, next: (error?: unknown) => void) => unknown} handler */
const called = (handler) => (/** @type {Record<string, string>} */ headers) =>
  new Promise((resolve, reject) => {
    const request = {
      method: 'GET',
      url: '/items',
      originalUrl: '/items',
      protocol: 'https',
      headers: { host: 'api.example.com', ...headers },
      host: 'api.example.com',
      hostname: 'api.example.com',
      get: (/** @type {string} */ name) => (name === 'Host' ? 'api.example.com' : headers[name.toLowerCase()]),
      is: () => false,
      query: {},
      app: { enabled: () => false, get: () => false }
    }
    handler(request, {}, (error) => (error === undefined ? resolve(undefined) : reject(error)))
  })

/** @param {import('../lib/types.d.ts').Setup} setup @param {object} [more] */
const middleware = ({ issuer, audience }, more) => auth({ issuerBaseURL: issuer, audience, ...more })

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'express-oauth2-jwt-bearer',
  packages: ['express-oauth2-jwt-bearer'],
  verify: (setup) => {
    const call = called(middleware(setup))
    return (authorization) => call({ authorization })
  },
  verifyProof: (setup) => {
    const call = called(middleware(setup, { requireSenderConstrained: 'dpop', dpop: { enabled: true } }))
    return ({ authorization, proof }) => call({ authorization, dpop: proof })
  },
  refuse: (/** @type {any} */ error) => ({
    headers: error.headers,
    body: JSON.stringify({ error: error.code, error_description: error.message })
  }),
  express: (setup) => middleware(setup)
}
