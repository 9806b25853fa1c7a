// @ts-check
import { atLeast, labelOf } from '../lib/result.mjs'
import { besideOpen, interleaveServers } from '../lib/servers.mjs'
import { median, ratios, short } from '../lib/stats.mjs'

/** @typedef {import('../lib/servers.mjs').Server} Server */

/** @param {string} module @returns {Server} */
const peer = (module) => ({ label: module, module })
const [UNPROTECTED, MARK, RAW, OURS] = [peer(''), peer('mark'), peer('raw'), peer('ours')]
const HOOK = { label: 'fast-jwt in a hook', module: 'fast-jwt' }
const CACHED_HOOK = {
  label: 'fast-jwt in a hook, cache with the token as its key',
  module: 'fast-jwt',
  variant: { cache: 'token' }
}

const FRAMEWORKS = [
  {
    name: 'express',
    title: 'Express',
    kept: 0.96,
    peers: [
      HOOK,
      CACHED_HOOK,
      peer('express-oauth2-jwt-bearer'),
      peer('mcp'),
      peer('express-jwt'),
      peer('passport-jwt')
    ]
  },
  { name: 'koa', title: 'Koa', kept: 0.95, peers: [HOOK, CACHED_HOOK, peer('koa-jwt')] },
  {
    name: 'fastify',
    title: 'Fastify',
    kept: 0.93,
    peers: [
      HOOK,
      CACHED_HOOK,
      peer('fastify-jwt'),
      { label: '@fastify/jwt, PEM', module: 'fastify-jwt', variant: { pem: true } },
      { label: '@fastify/jwt, PEM and cache', module: 'fastify-jwt', variant: { pem: true, cache: true } },
      peer('fastify-auth0-verify')
    ]
  },
  { name: 'hono', title: 'Hono on Node.js', kept: 0.9, peers: [HOOK, CACHED_HOOK, peer('hono-jwk')] }
]
const KINDS = [
  { tokens: 'rs256', distinct: 1 },
  { tokens: 'rs256', distinct: 12_000 },
  { tokens: 'es256', distinct: 12_000 }
]
const [WARM, COLD, COLD_ES] = [0, 1, 2]
/** What takes turns with an open server, in so many processes. @type {readonly (readonly [server: Server, processes: number])[]} */
const PAIRS = [
  [MARK, 1],
  [OURS, 2],
  [CACHED_HOOK, 1]
]

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'frameworks',
  title: 'What a protected server keeps',
  about:
    'A server with one route that answers `{"ok":true}`, and 32 connections that never wait, over loopback. The figures are the share of the unprotected server\'s requests that it keeps, by processor time of a request and by requests per second. The targets use processor time, because that also holds on a busy machine. The tokens are one token repeatedly, and 12,000 distinct ones in turn while our cache of tokens is full of others. The other packages are not measured with ES256. fast-jwt is called by a hook written by hand, with its cache and without. `raw` is a handler with one bare `crypto.verify`. A middleware that only stores an object on the request shows the framework\'s own cost. It, ours with one token, and fast-jwt with its cache take turns with an open server in the same process, because two processes with the same code are not equally fast. If `taskset` is available, the server has one core, and the load comes from the others.',
  run: async ({ file, effort, progress }) => {
    /** @type {import('../lib/result.mjs').Target[]} */
    const targets = []
    /** @type {import('../lib/result.mjs').Table[]} */
    const tables = []
    /** @type {Record<string, (readonly [string, number])[]>} */
    const bars = {}
    for (const { name, title, kept, peers } of FRAMEWORKS) {
      progress(`frameworks: ${title}`)
      const measured = await measureFramework({ file, effort, name, peers })
      const { share } = measured
      targets.push(
        atLeast(`${title}: kept of the unprotected server, token warm`, kept, share(OURS, WARM)),
        ...[/** @type {const} */ (['RS256', COLD]), /** @type {const} */ (['ES256', COLD_ES])].map(([alg, kind]) =>
          atLeast(
            `${title}: first sight ${alg}, kept of a bare crypto.verify in the handler`,
            0.9,
            share(OURS, kind, RAW)
          )
        )
      )
      tables.push(tableOf(title, peers, measured))
      bars[name] = [
        ['ours', share(OURS, WARM)],
        ['ours, first sight', share(OURS, COLD)],
        ...peers.map((one) => /** @type {const} */ ([one.label, share(one, WARM)]))
      ]
    }
    return { targets, tables, bars }
  }
}

/** @typedef {Awaited<ReturnType<typeof measureFramework>>} Measured */

/**
 * @param {object} options
 * @param {string} options.file
 * @param {import('../lib/context.mjs').Context['effort']} options.effort
 * @param {string} options.name of the framework
 * @param {readonly Server[]} options.peers
 */
async function measureFramework({ file, effort, name, peers }) {
  /** @type {Map<string, Awaited<ReturnType<typeof besideOpen>>>} */
  const pairs = new Map()
  for (const [one, processes] of PAIRS)
    pairs.set(one.label, await besideOpen(file, name, one, { processes, ...effort.pairs }))
  const servers = [UNPROTECTED, RAW, OURS, ...peers].map((one) => ({
    ...one,
    skip: [...(pairs.has(one.label) ? [WARM] : []), ...(peers.includes(one) ? [COLD_ES] : [])]
  }))
  const samples = await interleaveServers(file, name, servers, KINDS, effort.servers)
  /** @param {Server} one @param {number} kind @param {'cpu' | 'perSecond' | 'p50' | 'p99'} what */
  const column = (one, kind, what) => samples.get(`${one.label} ${kind}`)?.[what] ?? []
  const pair = (/** @type {Server} */ one, /** @type {number} */ kind) =>
    kind === WARM ? pairs.get(one.label) : undefined
  return {
    /** By processor time. @param {Server} one @param {number} kind @param {Server} [than] */
    share: (one, kind, than = UNPROTECTED) =>
      pair(one, kind)?.cpu ?? median(ratios(column(than, kind, 'cpu'), column(one, kind, 'cpu'))),
    /** @param {Server} one @param {number} kind */
    rate: (one, kind) =>
      pair(one, kind)?.perSecond ??
      median(ratios(column(one, kind, 'perSecond'), column(UNPROTECTED, kind, 'perSecond'))),
    /** @param {Server} one @param {number} kind */
    cpu: (one, kind) => pair(one, kind)?.own ?? median(column(one, kind, 'cpu')),
    /** @param {Server} one @param {'perSecond' | 'p50' | 'p99'} what */
    value: (one, what) => median(column(one, COLD, what))
  }
}

/** @param {string} title @param {readonly Server[]} peers @param {Measured} measured */
function tableOf(title, peers, { share, rate, cpu, value }) {
  return {
    caption: `${title}: ${short(value(UNPROTECTED, 'perSecond'))} requests/s unprotected`,
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
    rows: [UNPROTECTED, MARK, RAW, OURS, ...peers].map((one) => [
      one.module ? labelOf(one.label) : 'unprotected',
      ...[
        share(one, WARM),
        share(one, COLD),
        share(one, COLD_ES),
        rate(one, WARM),
        rate(one, COLD),
        cpu(one, WARM),
        cpu(one, COLD),
        value(one, 'p50'),
        value(one, 'p99')
      ].map(short)
    ])
  }
}
