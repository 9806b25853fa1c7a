// @ts-check
import { lanesOf } from '../lib/context.mjs'
import { atLeast, costTable } from '../lib/result.mjs'

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'dpop',
  title: 'DPoP, token seen before',
  about:
    'Whole requests of 100 clients, each with a known bound token and a new ES256 proof. Ours and express-oauth2-jwt-bearer check what RFC 9449 requires, and ours also remembers proofs against replay. Raw is the ES256 check of such a proof with an imported key.',
  run: async ({ besideRaw }) => {
    const costs = await besideRaw(lanesOf(['ours', 'express-oauth2-jwt-bearer', 'oauth4webapi']), { drill: 'dpop' })
    return {
      targets: [atLeast('DPoP, token warm: times one raw ES256 check', 0.9, costs.get('ours')?.cpu ?? 0)],
      tables: [costTable('One request', costs)]
    }
  }
}
