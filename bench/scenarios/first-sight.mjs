// @ts-check
import { VERIFIERS } from '../lib/context.mjs'
import { atLeast, costTable } from '../lib/result.mjs'

/** In processes of their own: elsewhere the same tokens are remembered. */
const STRANGERS = ['minimal', ...VERIFIERS].map(
  (module) => /** @type {const} */ ([module, { module, variant: { purpose: 'first sight' } }])
)

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'first-sight',
  title: 'Tokens that were never seen',
  about:
    '12,000 distinct tokens in turn: one in each turn of the event loop, or 64 at once. The cache of tokens, if there is one, is full of others, as in a busy server. With room in it, the token is also stored for its next use. The raw check has its input ready. The same checks in one function, without a cache, an event or a challenge, are the least that a verifier costs on this machine (`bench/peers/minimal.mjs`). Processor time includes the garbage collector; the median of single calls hardly does. 64 at once are judged [in a server](#64-at-a-time-in-a-server).',
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
    const of = (/** @type {string} */ key, /** @type {'cpu' | 'call'} */ figure, module = 'ours') =>
      costs[key]?.get(module)?.[figure] ?? Number.NaN
    return {
      targets: [
        atLeast('first sight RS256: times raw, by median call', 0.85, of('turn rs256', 'call')),
        atLeast('first sight RS256: times raw, by processor time', 0.8, of('turn rs256', 'cpu')),
        atLeast('first sight RS256, with room: times raw, by median call', 0.83, room.get('ours')?.call ?? 0),
        atLeast(
          'first sight RS256: times the same checks in one function, by median call',
          0.96,
          of('turn rs256', 'call') / of('turn rs256', 'call', 'minimal')
        ),
        atLeast('first sight ES256: times raw, by median call', 0.93, of('turn es256', 'call')),
        atLeast(
          'first sight RS256: times jose, by processor time',
          3,
          of('turn rs256', 'cpu') / of('turn rs256', 'cpu', 'jose')
        )
      ],
      tables: [
        costTable('RS256, one at a time, with room in the cache', room),
        costTable('RS256, one at a time', costs['turn rs256'] ?? new Map()),
        costTable('ES256, one at a time', costs['turn es256'] ?? new Map()),
        costTable('RS256, 64 at once', costs['burst rs256'] ?? new Map()),
        costTable('ES256, 64 at once', costs['burst es256'] ?? new Map())
      ],
      bars: {
        first: [...(costs['turn rs256'] ?? [])]
          .filter(([label]) => label !== 'minimal')
          .map(([label, { cpu }]) => [label, 1 / cpu])
      }
    }
  }
}
