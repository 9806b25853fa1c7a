// @ts-check
import { lanesOf, VERIFIERS } from '../lib/context.mjs'
import { atLeast, atMost, costTable, exactly } from '../lib/result.mjs'

const CACHED = /** @type {const} */ (['fast-jwt, cache', { module: 'fast-jwt', variant: { cache: true } }])
const KEYED = /** @type {const} */ ([
  'fast-jwt, cache with the token as its key',
  { module: 'fast-jwt', variant: { cache: 'token' } }
])

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'hot',
  title: 'Tokens that were seen before',
  about:
    '`protect(scope).authorize(request)` with one RS256 token, and with 10,000 drawn at random. Each call gets a new string, as from an HTTP parser, which is not counted. fast-jwt has a cache of 10,000, by a digest of the token or by the token itself; the others have none for tokens.',
  run: async ({ besideRaw, compare, effort }) => {
    const lanes = [...lanesOf(VERIFIERS), CACHED, KEYED]
    const one = await besideRaw(lanes, { drill: 'hot', tokens: 'rs256', distinct: 1 })
    // So long that each token comes several times: else most of them would have to be brought from memory, where others' work has put them.
    const milliseconds = 5 * effort.milliseconds
    const task = { drill: 'hot', tokens: 'rs256', distinct: 10_000, milliseconds }
    const many = await besideRaw([...lanesOf(['ours']), CACHED, KEYED], task)
    const ours = { module: 'ours' }
    const flags = ['--expose-gc', '--max-semi-space-size=64']
    const bytes = await compare([ours, ours], { drill: 'bytes', tokens: 'rs256', distinct: 1, n: 5000 }, flags)
    const promises = await compare([ours, ours], { drill: 'promises', tokens: 'rs256', distinct: 1, n: 100 })
    const ratio = (/** @type {typeof one} */ costs, /** @type {string} */ than) =>
      (costs.get('ours')?.cpu ?? 0) / (costs.get(than)?.cpu ?? Number.NaN)
    return {
      targets: [
        atLeast('one hot token: times raw RS256', 50, one.get('ours')?.cpu ?? 0),
        atLeast('one hot token: times fast-jwt with cache', 8, ratio(one, CACHED[0])),
        atLeast('one hot token: times fast-jwt with the token as the key of its cache', 4, ratio(one, KEYED[0])),
        atLeast('10,000 hot tokens: times fast-jwt with cache', 3, ratio(many, CACHED[0])),
        atLeast('10,000 hot tokens: times fast-jwt with the token as the key of its cache', 2, ratio(many, KEYED[0])),
        exactly('a hot token is answered without a promise: promises of 100', 0, promises.own.cpu),
        atMost('one hot token: bytes allocated beside the header', 200, bytes.own.cpu)
      ],
      tables: [costTable('One token', one), costTable('10,000 tokens', many)],
      bars: { hot: [...one].map(([label, { cpu }]) => [label, 1 / cpu]) }
    }
  }
}
