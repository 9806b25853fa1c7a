// @ts-check
/** This package, with its settings as they come: discovery, token cache on. */
import { pathToFileURL } from 'node:url'
import { handlers } from '../lib/handlers.mjs'

/** @param {import('../lib/types.d.ts').Setup} setup @param {string} name @returns {Promise<any>} */
const load = (setup, name) => import(`${pathToFileURL(setup.package).href}/dist/${name}.js`)

/** @param {import('../lib/types.d.ts').Setup} setup */
async function create(setup) {
  const { resourceServer, scope, noClientAuth } = await load(setup, 'src/index')
  const variant = setup.variant ?? {}
  const { introspection, ...options } = /** @type {Record<string, unknown>} */ (variant['options'] ?? {})
  const asked = { issuer: setup.issuer, introspection: { clientId: 'api', auth: noClientAuth(), cacheFor: 300 } }
  const api = resourceServer({
    resource: setup.audience,
    issuers: variant['issuers']
      ? manyIssuers(setup, Number(variant['issuers']))
      : [introspection ? asked : setup.issuer],
    ...options
  })
  await api.ready()
  const scopes = Array.from({ length: Number(variant['scopes'] ?? 0) }, (_, i) => `scope:${i}`)
  return { api, requirement: scopes.length > 0 ? scope(...scopes) : scope('read') }
}

/** The first of those that the tokens `issuers` are of, with keys in the settings, which each imports for itself. @param {import('../lib/types.d.ts').Setup} setup @param {number} count */
const manyIssuers = ({ issuer, jwks }, count) =>
  Array.from({ length: count }, (_, i) => ({ issuer: i === 0 ? issuer : `https://as-${i}.example.com`, jwks }))

/** @type {readonly string[]} */
const NONE = []

/** Tokens for each server with `roomy`: fewer than its cache holds. */
const ROOM = 9000

/**
 * Another server after so many tokens: each token is seen for the first time, and there is room for it.
 *
 * @param {import('../lib/types.d.ts').Setup} setup
 * @returns {Promise<() => any>} the protection to use now
 */
async function roomy(setup) {
  const make = async () => {
    const { api, requirement } = await create(setup)
    return api.protect(requirement)
  }
  let [now, next] = [await make(), await make()]
  let left = ROOM
  return () => {
    if (left-- === 0) {
      left = ROOM
      now = next
      void make().then((made) => {
        next = made
      })
    }
    return now
  }
}

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'oauth-resource-server',
  packages: [],
  verify: async (setup) => {
    const { api, requirement } = await create(setup)
    const adapter = /** @type {string | undefined} */ (setup.variant?.['adapter'])
    const called = adapter && handlers[adapter]
    if (called) return called((await load(setup, `adapters/${adapter}`)).protect(api, requirement))
    const protection = api.protect(requirement)
    const current = setup.variant?.['roomy'] ? await roomy(setup) : () => protection
    const lines = ['']
    const request = {
      method: 'GET',
      url: '/items',
      fieldLines: (/** @type {string} */ name) => (name === 'authorization' ? lines : NONE)
    }
    return (authorization) => {
      lines[0] = authorization
      return current().authorize(request)
    }
  },
  verifyProof: async (setup) => {
    const { api, requirement } = await create({
      ...setup,
      variant: { options: { requireSenderConstrained: 'dpop', dpop: { proofLifetime: 300 } } }
    })
    const protection = api.protect(requirement)
    return ({ authorization, proof }) =>
      protection.authorize({
        method: 'GET',
        url: '/items',
        fieldLines: (/** @type {string} */ name) =>
          name === 'authorization' ? [authorization] : name === 'dpop' ? [proof] : NONE
      })
  },
  refuse: (/** @type {any} */ error) => ({ headers: error.headers, body: JSON.stringify(error) }),
  hono: async (setup) => {
    const [{ api, requirement }, { protect }] = [await create(setup), await load(setup, 'adapters/hono')]
    return protect(api, requirement)
  },
  express: async (setup) => {
    const [{ api, requirement }, { protect }] = [await create(setup), await load(setup, 'adapters/express')]
    return protect(api, requirement)
  },
  koa: async (setup) => {
    const [{ api, requirement }, { protect }] = [await create(setup), await load(setup, 'adapters/koa')]
    return protect(api, requirement)
  },
  fastify: async (setup, app) => {
    const [{ api, requirement }, { default: plugin }] = [await create(setup), await load(setup, 'adapters/fastify')]
    await app.register(plugin, { api })
    return { config: { auth: requirement } }
  }
}
