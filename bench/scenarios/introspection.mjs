// @ts-check
import { atLeast, exactly } from '../lib/result.mjs'
import { short } from '../lib/stats.mjs'

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'introspection',
  title: 'Opaque tokens',
  about:
    '1,000 callers at once with one new opaque token, and an authorization server that takes 20 ms to answer. Then the same token repeatedly, and a JWT for comparison.',
  run: async ({ compare, asked }) => {
    const opaque = { module: 'ours', variant: { options: { introspection: true } } }
    const task = /** @type {const} */ ({ drill: 'crowd', tokens: 'opaque', distinct: 1, n: 1000 })
    const before = (await asked())['introspection'] ?? 0
    const crowd = await compare([opaque, { module: 'raw' }], {
      ...task,
      lanes: [{}, { drill: 'hot', tokens: 'rs256', n: 1 }]
    })
    const calls = ((await asked())['introspection'] ?? 0) - before
    const warm = await compare([opaque, { module: 'ours' }], {
      drill: 'hot',
      tokens: 'opaque',
      distinct: 1,
      lanes: [{}, { tokens: 'rs256' }]
    })
    return {
      targets: [
        exactly('1,000 callers, one opaque token: calls to the authorization server', 1, calls),
        atLeast('opaque token warm: times a JWT warm', 0.9, warm.cpu)
      ],
      tables: [
        {
          caption: 'Opaque tokens',
          columns: ['', 'CPU, µs', 'by the clock, µs'],
          rows: [
            ['opaque, warm', short(warm.own.cpu), short(warm.own.wall)],
            ['JWT, warm', short(warm.other.cpu), short(warm.other.wall)],
            ['1,000 at once, known by then, each', short(crowd.own.cpu), short(crowd.own.wall)]
          ]
        }
      ]
    }
  }
}
