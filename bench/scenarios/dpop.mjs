// @ts-check
import { lanesOf } from '../lib/context.mjs'
import { atLeast, costTable } from '../lib/result.mjs'

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'dpop',
  title: 'DPoP, token seen before',
  about:
    'Whole requests of 100 clients: a bound token that is known, and an ES256 proof that is new each time. Ours and express-oauth2-jwt-bearer check what RFC 9449 asks, and ours remembers proofs against replay as well. Raw is the ES256 check of such a proof by its key, which was imported before.',
  run: async ({ besideRaw }) => {
    const costs = await besideRaw(lanesOf(['ours', 'express-oauth2-jwt-bearer', 'oauth4webapi']), { drill: 'dpop' })
    return {
      targets: [atLeast('DPoP, token warm: times one raw ES256 check', 0.9, costs.get('ours')?.cpu ?? 0)],
      tables: [costTable('One request', costs)]
    }
  }
}
