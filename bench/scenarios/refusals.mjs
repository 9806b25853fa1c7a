// @ts-check
import { lanesOf, VERIFIERS } from '../lib/context.mjs'
import { atLeast, labelOf } from '../lib/result.mjs'
import { short } from '../lib/stats.mjs'

const KINDS = {
  garbage: 'garbage',
  expired: 'expired',
  audience: 'other audience',
  kid: 'unknown kid',
  forged: 'forged'
}
/** They are given one key, whatever the `kid`. */
const ONE_KEY = ['fast-jwt', 'jsonwebtoken']

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'refusals',
  title: 'Tokens that are refused',
  about:
    '200 RS256 tokens of each kind in turn, one in each turn of the event loop, in a process that accepted 6,000 others before, until header fields and body are written: by the package where it has them, else the least that a server would send. All tokens are equally long. All but the forged ones could be refused without a signature check. fast-jwt and jsonwebtoken have one fixed key and so no unknown `kid`.',
  run: async ({ besideRaw, progress }) => {
    /** @type {Map<string, Awaited<ReturnType<typeof besideRaw>>>} */
    const costs = new Map()
    for (const tokens of Object.keys(KINDS)) {
      progress(`refusals: ${tokens}`)
      const able = VERIFIERS.filter((module) => tokens !== 'kid' || !ONE_KEY.includes(module))
      const lanes = [{}, { tokens: 'rs256', expect: /** @type {const} */ ('good') }]
      costs.set(tokens, await besideRaw(lanesOf(able), { drill: 'turn', tokens, expect: 'refused', lanes }))
    }
    return {
      targets: Object.entries(KINDS)
        .filter(([kind]) => kind !== 'forged')
        .map(([kind, name]) =>
          atLeast(
            `refusing ${name}: times one raw RS256 check, by median call`,
            2,
            costs.get(kind)?.get('ours')?.call ?? 0
          )
        ),
      tables: /** @type {const} */ ([
        ['cpu', 'CPU, µs'],
        ['call', 'Median call, µs']
      ]).map(([figure, caption]) => ({
        caption,
        columns: ['', ...Object.values(KINDS)],
        rows: [
          ['raw `crypto.verify`', ...[...costs.values()].map((one) => short(one.get('ours')?.other[figure] ?? 0))],
          ...VERIFIERS.map((module) => [
            labelOf(module),
            ...[...costs.values()].map((one) => short(one.get(module)?.own[figure] ?? Number.NaN))
          ])
        ]
      }))
    }
  }
}
