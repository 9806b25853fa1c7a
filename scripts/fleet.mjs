// @ts-check
/**
 * The durable log of revocations over a real Redis, for the numbers of docs/operations.md. Run `npm run fleet`, or
 * after a build `node scripts/fleet.mjs --processes 4 --revocations 100 --live 100000`. Needs redis-server.
 *
 *   revoked to refused  from the call of api.revoke() in one process until each of the others fires the signal of a token
 *   start               of a process that finds live revocations in the log: until ready(), and the longest time in which its
 *                       event loop did nothing else
 *   memory              heap of that process with the revocations, less that before, by revocation
 *
 * Times are of this machine. Nothing is asserted.
 */
import { fork, spawn } from 'node:child_process'
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { resourceServer } from 'oauth-resource-server'
import { redisLog, redisStore } from 'oauth-resource-server/redis'

const ISSUER = 'https://as.example.com'
const RESOURCE = 'https://api.example.com'
const SECRET = 'a secret of this measurement, which nobody else uses'
/** Names of 32 characters, as identifiers of users and tokens are. */
const subjectOf = (/** @type {number} */ i) => `user-${String(i).padStart(27, '0')}`
/** Revocations of one call of revoke(). */
const BATCH = 1000

const { values: options } = parseArgs({
  options: {
    processes: { type: 'string', default: '8' },
    revocations: { type: 'string', default: '200' },
    live: { type: 'string', default: '100000,1000000' },
    child: { type: 'string' }
  }
})
// ---- one process of the fleet

/** @param {{ port: number, jwk: object, maxEntries: number }} given */
async function serve({ port, jwk, maxEntries }) {
  const [client, subscriber] = [new Redis(port), new Redis(port)]
  await Promise.all([client, subscriber].map((one) => once(one, 'ready')))
  globalThis.gc?.()
  const heap = process.memoryUsage().heapUsed
  const block = watchLoop()
  const started = performance.now()
  const api = resourceServer({
    log: false,
    resource: RESOURCE,
    issuers: [{ issuer: ISSUER, jwks: /** @type {any} */ ({ keys: [jwk] }) }],
    revocation: { maxEntries },
    shared: { store: redisStore(client), secret: SECRET, log: redisLog(client, { subscriber }) }
  })
  await api.ready()
  const ready = performance.now() - started
  const longest = block()
  globalThis.gc?.()
  const { entries } = api.stats().revocations
  const bytes = (process.memoryUsage().heapUsed - heap) / Math.max(1, entries)
  process.on('message', async (/** @type {any} */ { watch, revoke, id }) => {
    if (watch !== undefined) {
      const request = {
        method: 'GET',
        url: '/',
        fieldLines: (/** @type {string} */ name) => (name === 'authorization' ? [`Bearer ${watch}`] : [])
      }
      const { signal } = await api.authorize(request)
      signal.addEventListener('abort', () => process.send?.({ refused: nanoseconds() }))
      process.send?.({ watching: true })
    }
    if (revoke === undefined) return
    const at = nanoseconds()
    await api.revoke(revoke.map((/** @type {string} */ subject) => ({ issuer: ISSUER, subject })))
    process.send?.({ revoked: at, acknowledged: nanoseconds(), id })
  })
  process.send?.({ ready, longest, entries, bytes })
}

/** One clock for all processes of this machine. */
const nanoseconds = () => String(process.hrtime.bigint())

/** @returns a function that ends it, with the longest milliseconds between two turns of the event loop */
function watchLoop() {
  let isOn = true
  let longest = 0
  let last = performance.now()
  const turn = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (isOn) setImmediate(turn)
  }
  setImmediate(turn)
  return () => {
    isOn = false
    return Math.max(longest, performance.now() - last)
  }
}

// ---- the measurement

async function measure() {
  const processes = Number(options.processes)
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }
  const tokenOf = (/** @type {string} */ sub) => {
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: ISSUER, aud: RESOURCE, sub, client_id: 'c', jti: randomUUID(), iat: now, exp: now + 3600 }
    const [header, payload] = [{ typ: 'at+jwt', alg: 'ES256', kid: 'k' }, claims].map((one) =>
      Buffer.from(JSON.stringify(one)).toString('base64url')
    )
    const signature = sign('sha256', Buffer.from(`${header}.${payload}`), {
      key: privateKey,
      dsaEncoding: 'ieee-p1363'
    })
    return `${header}.${payload}.${signature.toString('base64url')}`
  }
  await withRedis(async (port) => {
    const fleet = await Promise.all(Array.from({ length: processes }, () => start({ port, jwk, maxEntries: 100_000 })))
    /** @type {number[]} */
    const refused = []
    /** @type {number[]} */
    const acknowledged = []
    for (let i = 0; i < Number(options.revocations); i++) {
      const sub = `somebody-${i}`
      const revoker = /** @type {Child} */ (fleet[i % fleet.length])
      const others = fleet.filter((one) => one !== revoker)
      await Promise.all(others.map((one) => one.ask({ watch: tokenOf(sub) }, 'watching')))
      const ends = others.map((one) => one.hear('refused'))
      const { revoked, acknowledged: at } = await revoker.ask({ revoke: [sub] }, 'revoked')
      acknowledged.push(milliseconds(revoked, at))
      for (const end of await Promise.all(ends)) refused.push(milliseconds(revoked, end.refused))
    }
    console.log(`${processes} processes, ${options.revocations} revocations, one at a time:`)
    console.log(`  revoke() resolved        p50 ${ms(acknowledged, 0.5)}, p99 ${ms(acknowledged, 0.99)}`)
    console.log(
      `  refused by every other   p50 ${ms(refused, 0.5)}, p99 ${ms(refused, 0.99)}, longest ${ms(refused, 1)}`
    )
    for (const one of fleet) one.end()
  })
  for (const live of options.live.split(',').map(Number)) await measureStart(live, jwk)
}

/**
 * @param {number} live
 * @param {object} jwk
 */
async function measureStart(live, jwk) {
  await withRedis(async (port) => {
    const maxEntries = Math.min(1_000_000, Math.ceil(live * 1.2))
    const writer = await start({ port, jwk, maxEntries })
    for (let i = 0; i < live; i += BATCH)
      await writer.ask(
        { revoke: Array.from({ length: Math.min(BATCH, live - i) }, (_, j) => subjectOf(i + j)) },
        'revoked'
      )
    writer.end()
    const { ready, longest, entries, bytes } = (await start({ port, jwk, maxEntries })).first
    console.log(
      `${entries.toLocaleString('en')} live revocations: ready after ${ready.toFixed(0)} ms, longest block ${longest.toFixed(0)} ms, ${bytes.toFixed(0)} bytes of heap for each`
    )
  })
}

/** @typedef {{ first: any, ask(message: object, answer: string): Promise<any>, hear(answer: string): Promise<any>, end(): void }} Child */

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()

/**
 * @param {object} given
 * @returns {Promise<Child>}
 */
async function start(given) {
  const child = fork(fileURLToPath(import.meta.url), ['--child', JSON.stringify(given)], { execArgv: ['--expose-gc'] })
  children.add(child)
  const hear = async (/** @type {string} */ answer) => {
    for (;;) {
      const [message] = await once(child, 'message')
      if (message[answer] !== undefined) return message
    }
  }
  return {
    first: await hear('ready'),
    hear,
    ask: (message, answer) => {
      const heard = hear(answer)
      child.send(message)
      return heard
    },
    end: () => void child.kill()
  }
}

/** @param {(port: number) => Promise<void>} run */
async function withRedis(run) {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address())
  probe.close()
  await once(probe, 'close')
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'yes',
    '--appendfsync',
    'everysec'
  ]
  const server = spawn(process.env['REDIS_SERVER'] ?? 'redis-server', args, {
    cwd: mkdtempSync(join(tmpdir(), 'redis-')),
    stdio: ['ignore', 'pipe', 'inherit']
  })
  for await (const chunk of server.stdout.iterator({ destroyOnReturn: false }))
    if (String(chunk).includes('Ready to accept')) break
  server.stdout.resume()
  try {
    await run(port)
  } finally {
    for (const child of children) child.kill()
    children.clear()
    server.kill()
  }
}

/**
 * @param {string} from
 * @param {string} to
 */
function milliseconds(from, to) {
  return Number(BigInt(to) - BigInt(from)) / 1e6
}

/**
 * @param {number[]} list
 * @param {number} part
 */
function ms(list, part) {
  const sorted = list.toSorted((a, b) => a - b)
  return `${sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]?.toFixed(1)} ms`
}

if (options.child === undefined) await measure()
else await serve(JSON.parse(options.child))
