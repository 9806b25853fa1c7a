// @ts-check
import { VERIFIERS } from '../lib/context.mjs'
import { atLeast, costTable } from '../lib/result.mjs'

/** In processes of their own: elsewhere the same tokens are remembered. */
const STRANGERS = VERIFIERS.map(
  (module) => /** @type {const} */ ([module, { module, variant: { purpose: 'first sight' } }])
)

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'first-sight',
  title: 'Tokens that were never seen',
  about:
    '12,000 distinct tokens in turn: one in each turn of the event loop, or 64 at once. The cache of tokens, if there is one, is full of others, as in a busy server. With room in it, the token is also stored for its next use. The raw check has its input ready.',
  run: async ({ besideRaw, progress }) => {
    /** @type {Record<string, Awaited<ReturnType<typeof besideRaw>>>} */
    const costs = {}
    for (const drill of ['turn', 'burst']) {
      for (const tokens of ['rs256', 'es256']) {
        progress(`first-sight: ${tokens}, ${drill === 'turn' ? 'one at a time' : '64 at once'}`)
        costs[`${drill} ${tokens}`] = await besideRaw(STRANGERS, { drill, tokens, filled: true })
      }
    }
    progress('first-sight: with room in the cache')
    const kept = { module: 'ours', variant: { purpose: 'first sight', roomy: true } }
    const room = await besideRaw([['ours', kept]], { drill: 'turn', tokens: 'rs256' })
    const of = (/** @type {string} */ key, module = 'ours') => costs[key]?.get(module)?.cpu ?? Number.NaN
    return {
      targets: [
        atLeast('first sight RS256: times raw', 0.9, of('turn rs256')),
        atLeast('first sight ES256: times raw', 0.95, of('turn es256')),
        atLeast('first sight RS256: times jose', 4, of('turn rs256') / of('turn rs256', 'jose'))
      ],
      tables: [
        costTable('RS256, one at a time, with room in the cache', room),
        costTable('RS256, one at a time', costs['turn rs256'] ?? new Map()),
        costTable('ES256, one at a time', costs['turn es256'] ?? new Map()),
        costTable('RS256, 64 at once', costs['burst rs256'] ?? new Map()),
        costTable('ES256, 64 at once', costs['burst es256'] ?? new Map())
      ],
      bars: { first: [...(costs['turn rs256'] ?? [])].map(([label, { cpu }]) => [label, 1 / cpu]) }
    }
  }
}
