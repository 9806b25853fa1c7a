// @ts-check
/**
 * The checks that an API makes, for an API that does not tell. The same package judges the same request here, with its
 * default options.
 */
import { ResourceServerError, resourceServer, scope } from 'oauth-resource-server'
import { explainChecks } from 'oauth-resource-server/explain'

/** Maximum number of resource servers kept. Proofs of possession are remembered by them. */
const MAX_SERVERS = 20

/** @typedef {{ reason: string | null, hint: string | null, documentation: string | null, checks: readonly import('oauth-resource-server/explain').ExplainedCheck[], source: string }} Verdicts */

export function createChecks() {
  /** @type {Map<string, import('oauth-resource-server').ResourceServer>} */
  const servers = new Map()

  /** @param {string} resource @param {string} issuer */
  const serverOf = (resource, issuer) => {
    const name = JSON.stringify([resource, issuer])
    const known = servers.get(name)
    if (known) return known
    const made = resourceServer({ resource, issuers: [issuer] })
    const [oldest] = servers
    if (servers.size >= MAX_SERVERS && oldest) {
      servers.delete(oldest[0])
      void oldest[1].close()
    }
    servers.set(name, made)
    return made
  }

  return {
    /**
     * @param {Record<string, any>} question
     * @returns {Promise<Verdicts | undefined>} undefined if nothing can be said, as of an opaque token
     */
    judge: async ({ method, url, headers, resource, issuer, scope: needed }) => {
      const fields = /** @type {Record<string, string>} */ ({ ...headers })
      const authorization = fields['Authorization']
      const { pathname, search } = new URL(url)
      const request = {
        method: String(method),
        url: pathname + search,
        fieldLines: (/** @type {string} */ name) =>
          Object.entries(fields).flatMap(([one, value]) => (one.toLowerCase() === name ? [value] : []))
      }
      const scopes = String(needed).split(' ').filter(Boolean)
      const source = 'The checks of an API with default options'
      try {
        const requirements = scopes.length > 0 ? [scope(...scopes)] : []
        await serverOf(resource, issuer).authorize(request, ...requirements)
        const facts = { reason: null, hint: null, documentation: null }
        return { ...facts, checks: explainChecks({ authorization }, null), source }
      } catch (error) {
        // Without credentials for introspection, nothing is known about an opaque token.
        if (!(error instanceof ResourceServerError) || error.status >= 500 || isOpaque(authorization)) return undefined
        const { reason, hint, documentation } = error
        return { reason, hint, documentation, checks: explainChecks({ authorization }, reason), source }
      }
    },
    close: async () => {
      await Promise.all([...servers.values()].map((one) => one.close()))
    }
  }
}

/** @param {string | undefined} authorization */
function isOpaque(authorization) {
  const [, token] = authorization?.split(' ') ?? []
  return token !== undefined && token.split('.').length !== 3
}
