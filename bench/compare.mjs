// @ts-check
/**
 * Two builds of this package against each other: is the second one faster?
 *
 *   node bench/compare.mjs <directory A> <directory B> [--only hot,turn…] [--pairs 6] [--rounds 100] [--http]
 *
 * A directory is a checkout that was built (`dist/` in it). Both run in one process and take turns every few
 * milliseconds; such a process is started several times, because one is not like the next. Above 1, B is faster. The
 * median of single calls hardly meets the collector or a neighbour; bursts have none. Where
 * the two are the same build, the first column is 1 within two or three hundredths, on a busy machine too.
 *
 * Does NOT tell whose garbage it is that is collected: both share one collector. Where that matters, as at a first sight,
 * compare what each build reaches beside `raw`: `npm run bench -- --only first-sight --package <directory>`.
 */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { compareLanes, interleave, startAuthority, startContender } from './lib/arena.mjs'
import { compareServers } from './lib/servers.mjs'
import { deviation, median, short } from './lib/stats.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '' },
    pairs: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '100' },
    http: { type: 'boolean', default: false }
  }
})
const [a, b] = positionals.map((directory) => resolve(directory))
if (!a || !b) {
  console.error(
    'usage: node bench/compare.mjs <directory A> <directory B> [--only name,…] [--pairs n] [--rounds n] [--http]'
  )
  process.exit(2)
}

/** @typedef {import('./lib/types.d.ts').Task} Task */
const milliseconds = 4
const refused = (/** @type {string} */ tokens) =>
  /** @type {Task} */ ({ drill: 'turn', tokens, expect: 'refused', milliseconds })
const unseen = (/** @type {string} */ drill, /** @type {string} */ tokens) =>
  /** @type {Task} */ ({ drill, tokens, filled: true, milliseconds })
/** @type {readonly (readonly [name: string, task: Task, variant?: Record<string, unknown>])[]} */
const TASKS = [
  ['hot, one token', { drill: 'hot', tokens: 'rs256', distinct: 1, milliseconds }],
  ['hot, 10,000 tokens', { drill: 'hot', tokens: 'rs256', distinct: 10_000, milliseconds }],
  [
    'hot, one opaque token',
    { drill: 'hot', tokens: 'opaque', distinct: 1, milliseconds },
    { options: { introspection: true } }
  ],
  [
    'hot through Express middleware',
    { drill: 'hot', tokens: 'rs256', distinct: 1, milliseconds },
    { adapter: 'express' }
  ],
  ['hot through Koa middleware', { drill: 'hot', tokens: 'rs256', distinct: 1, milliseconds }, { adapter: 'koa' }],
  ['hot through Fastify hook', { drill: 'hot', tokens: 'rs256', distinct: 1, milliseconds }, { adapter: 'fastify' }],
  ['first sight RS256, one a turn', unseen('turn', 'rs256')],
  ['first sight ES256, one a turn', unseen('turn', 'es256')],
  ['first sight with room', unseen('turn', 'rs256'), { roomy: true }],
  ['first sight RS256, 64 at once', unseen('burst', 'rs256')],
  ['first sight ES256, 64 at once', unseen('burst', 'es256')],
  ['refused: garbage', refused('garbage')],
  ['refused: expired', refused('expired')],
  ['refused: other audience', refused('audience')],
  ['refused: unknown kid', refused('kid')],
  ['refused: forged signature', refused('forged')],
  ['DPoP, token warm', { drill: 'dpop', milliseconds }],
  ['bytes for a hot token', { drill: 'bytes', tokens: 'rs256', distinct: 1, milliseconds, n: 5000 }],
  ['bytes for a first sight', { ...unseen('bytes', 'rs256'), n: 2000 }]
]
const chosen = TASKS.filter(([name]) => values.only.split(',').some((part) => name.includes(part)))
const rounds = Number(values.rounds)

console.log(`A ${a}\nB ${b}\n`)
const authority = await startAuthority(a)
console.log(
  `${'B times as fast as A'.padEnd(34)}${'by CPU'.padStart(16)}${'by clock'.padStart(16)}${'by median call'.padStart(16)}      A us     B us`
)
for (const [name, task, variant = {}] of chosen) {
  /** @type {{ A: number[], B: number[], cpu: number[], wall: number[], call: number[] }} */
  const all = { A: [], B: [], cpu: [], wall: [], call: [] }
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    // Code that is loaded second finds another state of the optimizer: each build is second as often as the other.
    const swapped = pair % 2 === 1
    const lanes = (swapped ? [a, b] : [b, a]).map((directory) => ({
      module: 'ours',
      variant: { ...variant, package: directory }
    }))
    const flags = task.drill === 'bytes' ? ['--expose-gc', '--max-semi-space-size=64'] : []
    const contender = await startContender(authority.file, 'both', lanes, flags)
    const seen = compareLanes((await interleave([contender], task, rounds)).get('both') ?? [])
    contender.close()
    const [A, B] = swapped ? [seen.own, seen.other] : [seen.other, seen.own]
    all.A.push(A.cpu)
    all.B.push(B.cpu)
    all.cpu.push(swapped ? 1 / seen.cpu : seen.cpu)
    all.wall.push(swapped ? 1 / seen.wall : seen.wall)
    all.call.push(swapped ? 1 / seen.call : seen.call)
  }
  const shown = (/** @type {readonly number[]} */ each) =>
    Number.isNaN(median(each)) ? '-' : `${median(each).toFixed(3)} ± ${deviation(each).toFixed(3)}`
  console.log(
    `${name.padEnd(34)}${shown(all.cpu).padStart(16)}${shown(all.wall).padStart(16)}${shown(all.call).padStart(16)}` +
      `${short(median(all.A)).padStart(10)}${short(median(all.B)).padStart(9)}`
  )
}
if (values.http) await compareServers(authority.file, [a, b], { rounds: 12 })
authority.close()
