// @ts-check
import { atMost, times } from '../lib/result.mjs'
import { short } from '../lib/stats.mjs'

const ours = (/** @type {Record<string, unknown>} */ variant = {}) => ({ module: 'ours', variant })

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'scale',
  title: 'Many tokens, issuers, scopes',
  about:
    'Each case is compared with the smallest of its kind, in one process. Tokens are drawn at random. "more than the cache holds" are 12,000 in turn while it is full of others, so that none of them is ever found, as with a million. Issuers have their keys in the settings, and the tokens are from all of them in turn: one of each if the token is warm, which is compared with as many tokens of one issuer. The route requires so many scopes, and the token has 100.',
  run: async ({ compare, progress, effort }) => {
    /** @type {(readonly [what: string, own: number, other: number, ratio: number, target: number])[]} */
    const rows = []
    /**
     * @param {string} what
     * @param {number} target
     * @param {Parameters<typeof compare>[0]} lanes
     * @param {Parameters<typeof compare>[1]} work
     */
    const measure = async (what, target, lanes, work) => {
      progress(`scale: ${what}`)
      const { cpu, own, other } = await compare(lanes, work)
      rows.push([what, own.cpu, other.cpu, 1 / cpu, target])
    }
    const hot = { drill: 'hot', tokens: 'rs256' }
    for (const [distinct, target] of /** @type {const} */ ([
      [100, 2],
      [10_000, 5]
    ])) {
      await measure(`${distinct} tokens, to one`, target, [ours(), ours()], {
        ...hot,
        milliseconds: 5 * effort.milliseconds,
        lanes: [{ distinct }, { distinct: 1 }]
      })
    }
    await measure('more than the cache holds, to a raw check', 1.11, [ours(), { module: 'raw' }], {
      drill: 'turn',
      tokens: 'rs256',
      filled: true
    })
    for (const issuers of [10, 1000]) {
      const lanes = /** @type {const} */ ([ours({ issuers }), ours({ issuers: 1 })])
      const tokens = [{ tokens: 'issuers' }, { tokens: 'rs256' }]
      await measure(`${issuers} issuers, to one; ${issuers} tokens, warm`, 1.1, lanes, {
        ...hot,
        distinct: issuers,
        milliseconds: 5 * effort.milliseconds,
        lanes: tokens
      })
      if (issuers < 1000) continue // the tokens are of a thousand
      await measure(`${issuers} issuers, to one; first sight`, 1.1, lanes, {
        drill: 'turn',
        filled: true,
        lanes: tokens
      })
    }
    for (const [scopes, target] of /** @type {const} */ ([
      [10, 1.2],
      [100, 1.2]
    ])) {
      const lanes = /** @type {const} */ ([ours({ scopes }), ours({ scopes: 1 })])
      await measure(`${scopes} scopes, to one; token warm`, target, lanes, {
        drill: 'hot',
        tokens: 'scopes',
        distinct: 1
      })
    }
    return {
      targets: rows.map(([what, , , ratio, target]) => atMost(what, target, ratio)),
      tables: [
        {
          caption: 'CPU',
          columns: ['', 'µs', 'the smallest, µs', 'ratio'],
          rows: rows.map(([what, own, other, ratio]) => [what, short(own), short(other), times(ratio)])
        }
      ]
    }
  }
}
