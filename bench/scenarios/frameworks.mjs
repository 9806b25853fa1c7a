// @ts-check
import { atLeast, labelOf } from '../lib/result.mjs'
import { besideOpen, interleaveServers } from '../lib/servers.mjs'
import { median, ratios, short } from '../lib/stats.mjs'

const FRAMEWORKS = [
  {
    name: 'express',
    title: 'Express',
    kept: 0.96,
    peers: ['express-oauth2-jwt-bearer', 'mcp', 'express-jwt', 'passport-jwt']
  },
  { name: 'koa', title: 'Koa', kept: 0.95, peers: ['koa-jwt'] },
  { name: 'fastify', title: 'Fastify', kept: 0.93, peers: ['fastify-jwt', 'fastify-auth0-verify'] }
]
const KINDS = [
  { tokens: 'rs256', distinct: 1 },
  { tokens: 'rs256', distinct: 12_000 },
  { tokens: 'es256', distinct: 12_000 }
]
const [WARM, COLD, COLD_ES] = [0, 1, 2]
/** What takes turns with an open server, in so many processes. @type {readonly (readonly [module: string, processes: number])[]} */
const PAIRS = [
  ['mark', 1],
  ['ours', 2]
]

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'frameworks',
  title: 'What a protected server keeps',
  about:
    'A server with one route that answers `{"ok":true}`, and 32 connections that never wait, over loopback. The figures are the share of the unprotected server\'s requests that it keeps, by processor time of a request and by requests per second. The targets use processor time, because that also holds on a busy machine. The tokens are one token repeatedly, and 12,000 distinct ones in turn while our cache of tokens is full of others. The other packages have no such cache, and are not measured with ES256. `raw` is a handler with one bare `crypto.verify`. A middleware that only stores an object on the request shows the framework\'s own cost. It, and ours with one token, take turns with an open server in the same process, because two processes with the same code are not equally fast. If `taskset` is available, the server has one core, and the load comes from the others.',
  run: async ({ file, effort, progress }) => {
    /** @type {import('../lib/result.mjs').Target[]} */
    const targets = []
    /** @type {import('../lib/result.mjs').Table[]} */
    const tables = []
    /** @type {Record<string, (readonly [string, number])[]>} */
    const bars = {}
    for (const { name, title, kept, peers } of FRAMEWORKS) {
      progress(`frameworks: ${title}`)
      /** @type {Map<string, Awaited<ReturnType<typeof besideOpen>>>} */
      const pairs = new Map()
      for (const [module, processes] of PAIRS)
        pairs.set(module, await besideOpen(file, name, module, { processes, ...effort.pairs }))
      const servers = ['', 'raw', 'ours', ...peers].map((module) => ({
        label: module,
        module,
        skip: module === 'ours' ? [WARM] : peers.includes(module) ? [COLD_ES] : []
      }))
      const samples = await interleaveServers(file, name, servers, KINDS, effort.servers)
      const column = (
        /** @type {string} */ module,
        /** @type {number} */ kind,
        /** @type {'cpu' | 'perSecond'} */ what
      ) => samples.get(`${module} ${kind}`)?.[what] ?? []
      const pair = (/** @type {string} */ module, /** @type {number} */ kind) =>
        kind === WARM ? pairs.get(module) : undefined
      const share = (/** @type {string} */ module, /** @type {number} */ kind, than = '') =>
        pair(module, kind)?.cpu ?? median(ratios(column(than, kind, 'cpu'), column(module, kind, 'cpu')))
      const rate = (/** @type {string} */ module, /** @type {number} */ kind) =>
        pair(module, kind)?.perSecond ??
        median(ratios(column(module, kind, 'perSecond'), column('', kind, 'perSecond')))
      const value = (
        /** @type {string} */ module,
        /** @type {'perSecond' | 'cpu' | 'p50' | 'p99'} */ what,
        kind = COLD
      ) => short(median(samples.get(`${module} ${kind}`)?.[what] ?? []))
      targets.push(
        atLeast(`${title}: kept of the unprotected server, token warm`, kept, share('ours', WARM)),
        atLeast(
          `${title}: first sight RS256, kept of a bare crypto.verify in the handler`,
          0.9,
          share('ours', COLD, 'raw')
        ),
        atLeast(
          `${title}: first sight ES256, kept of a bare crypto.verify in the handler`,
          0.9,
          share('ours', COLD_ES, 'raw')
        )
      )
      tables.push({
        caption: `${title}: ${value('', 'perSecond')} requests/s unprotected`,
        columns: [
          'kept',
          'one token',
          'distinct RS256',
          'distinct ES256',
          'requests/s: one token',
          'distinct RS256',
          'CPU, µs a request: one token',
          'distinct RS256',
          'p50, ms',
          'p99, ms'
        ],
        rows: ['', 'mark', 'raw', 'ours', ...peers].map((module) => [
          module ? labelOf(module) : 'unprotected',
          short(share(module, WARM)),
          short(share(module, COLD)),
          short(share(module, COLD_ES)),
          short(rate(module, WARM)),
          short(rate(module, COLD)),
          pairs.has(module) ? short(pairs.get(module)?.own ?? Number.NaN) : value(module, 'cpu', WARM),
          value(module, 'cpu'),
          value(module, 'p50'),
          value(module, 'p99')
        ])
      })
      bars[name] = [
        ['ours', share('ours', WARM)],
        ['ours, first sight', share('ours', COLD)],
        ...peers.map((module) => /** @type {const} */ ([module, share(module, WARM)]))
      ]
    }
    return { targets, tables, bars }
  }
}
