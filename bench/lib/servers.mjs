// @ts-check
/** Servers in processes of their own, loaded one at a time and in turns, and what each request cost them. */
import { fork, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { message } from './arena.mjs'
import { load, requestBytes } from './load.mjs'
import { deviation, median, ratios, short } from './stats.mjs'

/** With it, a server stays on some cores and the load comes from the others. */
export const canPin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0

/**
 * @typedef {object} Server
 * @property {string} label
 * @property {string} module name of a file in bench/peers; `''` for none
 * @property {Record<string, unknown>} [variant]
 * @property {readonly number[]} [skip] kinds that it is not to do
 */

/**
 * @param {string} file the fixture
 * @param {string} framework
 * @param {Server} options
 * @param {number} cores that it may use, if `taskset` is there; 0 for all
 */
async function startServer(file, framework, { label, module, variant = {} }, cores) {
  const url = module && new URL(`../peers/${module}.mjs`, import.meta.url).href
  const script = fileURLToPath(new URL('app.mjs', import.meta.url))
  const child = fork(script, [file, framework, url, JSON.stringify(variant)], {
    // From its start: it is to know that there is one core.
    ...(cores > 0 && canPin && { execPath: 'taskset', execArgv: ['-c', `0-${cores - 1}`, process.execPath] }),
    env: { ...process.env, NODE_ENV: 'production', NODE_NO_WARNINGS: '1' }
  })
  const { port, openPort } = await message(child)
  return {
    label,
    port: /** @type {number} */ (port),
    openPort: /** @type {number} */ (openPort),
    cpu: async () => {
      child.send('cpu')
      return /** @type {number} */ ((await message(child)).cpu)
    },
    close: () => child.disconnect()
  }
}

/**
 * @typedef {object} Samples one number for each round
 * @property {number[]} perSecond requests
 * @property {number[]} cpu microseconds for a request, in the server
 * @property {number[]} p50 milliseconds
 * @property {number[]} p99 milliseconds
 * @property {number[]} pingP50 milliseconds
 */

/**
 * @param {string} file the fixture
 * @param {string} framework
 * @param {readonly Server[]} list
 * @param {readonly { readonly tokens: string, readonly distinct: number }[]} kinds what is sent
 * @param {{ rounds: number, milliseconds: number, warmUp: number, connections?: number, ping?: boolean, cores?: number }} effort
 *   milliseconds of a round, and of the first one, which makes the code hot and counts for nothing
 * @returns {Promise<Map<string, Samples>>} by label, a space and the index of the kind
 */
export async function interleaveServers(file, framework, list, kinds, { cores = 1, ...effort }) {
  const isFilled = kinds.some(({ distinct }) => distinct > 1)
  /** @type {import('./types.d.ts').Fixture} */
  const fixture = JSON.parse(readFileSync(file, 'utf8'))
  const requests = kinds.map(({ tokens, distinct }) =>
    (fixture.tokens[tokens] ?? []).slice(0, distinct).map((token) => requestBytes('/items', `Bearer ${token}`))
  )
  /** Each server goes through all of them: with a place of its own, or it would see a part of them again and again. */
  const places = list.map(() => kinds.map(() => 0))
  /** @param {number} server @param {number} kind */
  const nextOf = (server, kind) => () => {
    const at = places[server]?.[kind] ?? 0
    const all = requests[kind] ?? []
    if (places[server]) places[server][kind] = (at + 1) % all.length
    return /** @type {Buffer} */ (all[at])
  }
  const servers = await Promise.all(list.map((one) => startServer(file, framework, one, cores)))
  // The one that has a cache of tokens has it full of others, which do not come again: none of the distinct ones is found.
  for (const [i, server] of servers.entries()) {
    if (!isFilled || list[i]?.module !== 'ours') continue
    const others = (fixture.tokens['others'] ?? []).map((token) => requestBytes('/items', `Bearer ${token}`))
    let at = 0
    const next = () => /** @type {Buffer} */ (others[at++ % others.length])
    await load(server.port, next, { ...effort, ping: false, milliseconds: 10_000, goesOn: () => at < others.length })
  }
  /** @type {Map<string, Samples>} */
  const samples = new Map()
  for (let round = -1; round < effort.rounds; round++) {
    for (let i = 0; i < servers.length * requests.length; i++) {
      const turn = (i + Math.max(0, round)) % (servers.length * requests.length)
      const server = servers[turn % servers.length]
      const kind = Math.floor(turn / servers.length)
      const next = nextOf(turn % servers.length, kind)
      if (!server || list[turn % servers.length]?.skip?.includes(kind)) continue
      const before = await server.cpu()
      const milliseconds = round < 0 ? effort.warmUp : effort.milliseconds
      const { requests: served, ...seen } = await load(server.port, next, { ...effort, milliseconds })
      const cpu = ((await server.cpu()) - before) / served
      if (round < 0) continue // the code is not hot yet
      const key = `${server.label} ${kind}`
      const sample = samples.get(key) ?? { perSecond: [], cpu: [], p50: [], p99: [], pingP50: [] }
      samples.set(key, sample)
      sample.perSecond.push(seen.perSecond)
      sample.cpu.push(cpu)
      sample.p50.push(seen.p50)
      sample.p99.push(seen.p99)
      sample.pingP50.push(seen.pingP50)
    }
  }
  for (const server of servers) server.close()
  return samples
}

/**
 * A server and the same without its protection, in one process, where they take turns: two processes with the same code
 * are not equally fast.
 *
 * @param {string} file the fixture
 * @param {string} framework
 * @param {Server} one
 * @param {{ processes: number, rounds: number, milliseconds: number, requests: number }} effort `rounds` of each process,
 *   after so many requests to each of the two, which make the code hot
 * @returns {Promise<{ cpu: number, perSecond: number, own: number }>} what is kept of the other one's requests, by processor
 *   time and by the clock; microseconds of processor time for one of its own
 */
export async function besideOpen(file, framework, one, { processes, rounds, milliseconds, ...warmUp }) {
  /** @type {import('./types.d.ts').Fixture} */
  const fixture = JSON.parse(readFileSync(file, 'utf8'))
  const request = requestBytes('/items', `Bearer ${fixture.tokens['rs256']?.[0]}`)
  const columns = () => ({ cpu: /** @type {number[]} */ ([]), perSecond: /** @type {number[]} */ ([]) })
  const [own, open] = [columns(), columns()]
  for (let i = 0; i < processes; i++) {
    const server = await startServer(file, framework, one, 1)
    /** @param {number} port @param {ReturnType<typeof columns>} to */
    const measure = async (port, to) => {
      const before = await server.cpu()
      const { requests, perSecond } = await load(port, () => request, { milliseconds })
      to.cpu.push(((await server.cpu()) - before) / requests)
      to.perSecond.push(perSecond)
    }
    const lanes = /** @type {const} */ ([
      [server.port, own],
      [server.openPort, open]
    ])
    for (const [port] of lanes) {
      let left = warmUp.requests
      const next = () => {
        left--
        return request
      }
      await load(port, next, { milliseconds: 10_000, goesOn: () => left > 0 })
    }
    for (let round = 0; round < rounds; round++)
      for (const [port, to] of round % 2 === 0 ? lanes : lanes.toReversed()) await measure(port, to)
    server.close()
  }
  const [cpu, rate] = [ratios(open.cpu, own.cpu), ratios(own.perSecond, open.perSecond)]
  return { cpu: median(cpu), perSecond: median(rate), own: median(own.cpu) }
}

/**
 * @param {string} file
 * @param {readonly [string, string] | readonly string[]} directories of two builds
 * @param {{ rounds: number }} effort
 */
export async function compareServers(file, [a = '', b = ''], { rounds }) {
  const list = [
    { label: 'A', module: 'ours', variant: { package: a } },
    { label: 'B', module: 'ours', variant: { package: b } }
  ]
  const kinds = [
    { tokens: 'rs256', distinct: 1 },
    { tokens: 'rs256', distinct: 12_000 }
  ]
  for (const framework of ['express', 'koa', 'fastify']) {
    const samples = await interleaveServers(file, framework, list, kinds, { rounds, milliseconds: 500, warmUp: 3000 })
    kinds.forEach((_, kind) => {
      const [A, B] = [samples.get(`A ${kind}`), samples.get(`B ${kind}`)]
      if (!A || !B) return
      const [clock, cpu] = [ratios(B.perSecond, A.perSecond), ratios(A.cpu, B.cpu)]
      const shown = (/** @type {readonly number[]} */ each) =>
        `${median(each).toFixed(3)} ± ${deviation(each).toFixed(3)}`
      const name = `${framework}, ${kind === 0 ? 'token warm' : 'first sight'}`
      console.log(
        `${name.padEnd(34)}${shown(clock).padStart(16)}${shown(cpu).padStart(16)}` +
          `${short(median(A.cpu)).padStart(10)}${short(median(B.cpu)).padStart(9)}`
      )
    })
  }
}
