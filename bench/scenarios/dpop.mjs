// @ts-check
import { lanesOf } from '../lib/context.mjs'
import { atLeast, costTable } from '../lib/result.mjs'

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'dpop',
  title: 'DPoP, token seen before',
  about:
    'Whole requests of 100 clients, each with a known bound token and a new ES256 proof. Ours, express-oauth2-jwt-bearer and better-auth check what RFC 9449 requires; ours and better-auth also remember proofs against replay. Raw is the ES256 check of such a proof with an imported key.',
  run: async ({ besideRaw }) => {
    const costs = await besideRaw(lanesOf(['ours', 'express-oauth2-jwt-bearer', 'oauth4webapi', 'better-auth']), {
      drill: 'dpop'
    })
    return {
      targets: [
        atLeast('DPoP, token warm: times one raw ES256 check, by median call', 0.92, costs.get('ours')?.call ?? 0)
      ],
      tables: [costTable('One request', costs)]
    }
  }
}
