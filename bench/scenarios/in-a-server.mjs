// @ts-check
import { availableParallelism } from 'node:os'
import { atLeast, labelOf } from '../lib/result.mjs'
import { canPin, interleaveServers } from '../lib/servers.mjs'
import { median, ratios, short } from '../lib/stats.mjs'

const MODULES = ['raw', 'ours', 'fast-jwt', 'jose']
const KINDS = [
  { tokens: 'rs256', distinct: 12_000 },
  { tokens: 'es256', distinct: 12_000 }
]
const ALGS = ['RS256', 'ES256']
const CORES = [
  { cores: 1, title: 'one core', target: 0.95 },
  { cores: 2, title: 'two cores', target: 1 }
]

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'in-a-server',
  title: '64 at a time, in a server',
  about:
    'A bare `node:http` server with 64 connections that never wait, and distinct tokens, none of which is remembered. `raw` is a handler with one bare `crypto.verify`. `taskset` gives the server one core, then two. If the machine has only two, the load shares the second one with it. A loop that starts 64 checks at once, as in [the tables above](#tokens-that-were-never-seen), shows more of the thread pool than a server ever does: there, parsing and writing HTTP is between the checks.',
  run: async ({ file, effort, progress }) => {
    /** @type {import('../lib/result.mjs').Target[]} */
    const targets = []
    /** @type {import('../lib/result.mjs').Table[]} */
    const tables = []
    for (const { cores, title, target } of CORES) {
      if (!canPin || availableParallelism() < cores) continue
      progress(`in-a-server: ${title}`)
      const servers = MODULES.map((module) => ({ label: module, module }))
      const samples = await interleaveServers(file, 'node', servers, KINDS, {
        ...effort.servers,
        connections: 64,
        cores
      })
      const column = (/** @type {string} */ module, /** @type {number} */ kind) => samples.get(`${module} ${kind}`)
      const kept = (/** @type {string} */ module, /** @type {number} */ kind) =>
        median(ratios(column(module, kind)?.perSecond ?? [], column('raw', kind)?.perSecond ?? []))
      targets.push(
        ...ALGS.map((alg, kind) =>
          atLeast(`64 at a time, ${title}, ${alg}: requests/s, times raw in the handler`, target, kept('ours', kind))
        )
      )
      tables.push({
        caption: title[0]?.toUpperCase() + title.slice(1),
        columns: ['', ...ALGS.flatMap((alg) => [`${alg}, requests/s`, 'times raw', 'CPU, µs a request', 'p99, ms'])],
        rows: MODULES.map((module) => [
          labelOf(module),
          ...ALGS.flatMap((_, kind) => {
            const one = column(module, kind)
            const [perSecond = [], cpu = [], p99 = []] = [one?.perSecond, one?.cpu, one?.p99]
            return [short(median(perSecond)), short(kept(module, kind)), short(median(cpu)), short(median(p99))]
          })
        ])
      })
    }
    return { targets, tables }
  }
}
