// @ts-check
/**
 * A million requests with good, bad and hostile tokens against one resource server: does it keep what it promises to
 * keep, and nothing else? Run `npm run soak`, or `npm run soak -- --requests 30000`.
 *
 *   heap      after the last request at most 1.1 × that after warm-up, both after a garbage collection
 *   stats()   every count within the bound beside it
 *   handles   nothing is left open after close()
 *   answers   each kind of token gets its one status, each time
 *
 * Exits with 1 where one of them does not hold. Times are printed and decide nothing. What was measured is left in
 * coverage/soak.json, for `scripts/reliability.mjs`.
 */
import { spawnSync } from 'node:child_process'
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { noClientAuth, ResourceServerError, resourceServer, scope } from 'oauth-resource-server'

if (!globalThis.gc) {
  const { status } = spawnSync(
    process.execPath,
    ['--expose-gc', fileURLToPath(import.meta.url), ...process.argv.slice(2)],
    { stdio: 'inherit' }
  )
  process.exit(status ?? 1)
}

const { values } = parseArgs({ options: { requests: { type: 'string', default: '1000000' } } })
const requests = Number(values.requests)
const RESOURCE = 'https://api.example.com'
/** Of a hundred requests so many go over a socket, through Node's own HTTP server. */
const SOCKET_SHARE = 2
/** Requests under way at once. */
const BATCH = 100

// ---- tokens

const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
const [signer, stranger, dpopKey] = [pair(), pair(), pair()]
const base64url = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * @param {object} header
 * @param {object} claims
 * @param {import('node:crypto').KeyObject} key
 */
function jws(header, claims, key) {
  const input = `${base64url(header)}.${base64url(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const epoch = Math.floor(Date.now() / 1000)
/** A thousand requests are a second: what is remembered for a time is also forgotten. */
let served = 0
const now = () => epoch + Math.floor(served / 1000)
let serial = 0
/** @param {object} [claims] @param {object} [header] */
const token = (claims, header, key = signer.privateKey) =>
  jws(
    { typ: 'at+jwt', alg: 'ES256', kid: 'k1', ...header },
    {
      iss: issuer,
      aud: RESOURCE,
      sub: 'u1',
      client_id: 'c1',
      iat: now() - 10,
      exp: now() + 100_000,
      jti: String(serial++),
      scope: 'read',
      ...claims
    },
    key
  )
const random = (/** @type {number} */ bytes) => randomBytes(bytes).toString('base64url')

// ---- the authorization server

const server = createServer((request, response) => {
  const json = (/** @type {unknown} */ body) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  if (request.url === '/jwks') return json({ keys: [{ ...signer.publicKey.export({ format: 'jwk' }), kid: 'k1' }] })
  if (request.url !== '/introspect')
    return json({ issuer, jwks_uri: `${issuer}/jwks`, introspection_endpoint: `${issuer}/introspect` })
  let form = ''
  request.on('data', (chunk) => {
    form += chunk
  })
  request.on('end', () => {
    const asked = new URLSearchParams(form).get('token') ?? ''
    if (!asked.startsWith('good-')) return json({ active: false })
    json({ active: true, iss: issuer, aud: RESOURCE, sub: 'u1', client_id: 'c1', exp: now() + 100_000, scope: 'read' })
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const issuer = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`

// ---- the resource server

const api = resourceServer({
  resource: RESOURCE,
  log: false,
  issuers: [{ issuer, introspection: { auth: noClientAuth(), clientId: 'api' } }],
  dpop: { advertise: true, proofLifetime: 5 },
  now
})
const protection = api.protect(scope('read'))

/** @typedef {Readonly<Record<string, string>>} Fields */
/** @param {Fields} fields */
async function status(fields) {
  const lines = (/** @type {string} */ name) => (fields[name] === undefined ? [] : [fields[name]])
  try {
    await protection.authorize({ method: 'GET', url: '/items', fieldLines: lines })
    return 200
  } catch (error) {
    if (error instanceof ResourceServerError) return error.status
    throw error
  }
}

const front = createServer((request, response) => {
  const { authorization, dpop } = /** @type {Fields} */ (request.headers)
  void status({ ...(authorization && { authorization }), ...(dpop && { dpop }) }).then((code) => {
    response.writeHead(code).end()
  })
})
// A connection is never closed for being idle: the next request may be on its way just then.
front.keepAliveTimeout = 0
front.listen(0, '127.0.0.1')
await once(front, 'listening')
const port = /** @type {import('node:net').AddressInfo} */ (front.address()).port
const agent = new Agent({ keepAlive: true, maxSockets: 16 })

/** @param {Fields} headers @returns {Promise<number>} */
const overSocket = (headers) =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/items', headers, agent }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
    }).once('error', reject)
  })

// ---- the mix

const { kty, crv, x, y } = dpopKey.publicKey.export({ format: 'jwk' })
const jkt = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
const bound = token({ cnf: { jkt } })
const ath = createHash('sha256').update(bound).digest('base64url')
const proof = () =>
  jws(
    { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } },
    { jti: random(12), htm: 'GET', htu: `${RESOURCE}/items`, iat: now(), ath },
    dpopKey.privateKey
  )
const warm = Array.from({ length: 500 }, () => token())
const opaque = Array.from({ length: 200 }, (_, i) => `good-${i}-${random(12)}`)
const expired = Array.from({ length: 50 }, () => token({ exp: epoch - 1000 }))
const pick = (/** @type {readonly string[]} */ list) =>
  /** @type {string} */ (list[Math.floor(Math.random() * list.length)])
const bearer = (/** @type {string} */ one) => ({ authorization: `Bearer ${one}` })
const altered = (/** @type {string} */ one) => `${one.slice(0, -20)}${random(9)}${one.slice(-8)}`

/** @type {readonly (readonly [kind: string, ofThousand: number, status: number, make: () => Fields])[]} */
const MIX = [
  ['good JWT, seen before', 560, 200, () => bearer(pick(warm))],
  ['good JWT, new', 30, 200, () => bearer(token())],
  ['good opaque token', 100, 200, () => bearer(pick(opaque))],
  ['opaque token nobody knows', 20, 401, () => bearer(random(24))],
  ['DPoP', 20, 200, () => ({ authorization: `DPoP ${bound}`, dpop: proof() })],
  ['DPoP token as Bearer', 20, 401, () => bearer(bound)],
  ['expired', 60, 401, () => bearer(pick(expired))],
  ['signature altered', 30, 401, () => bearer(altered(pick(warm)))],
  ['kid unknown', 20, 401, () => bearer(token({}, { kid: random(9) }, stranger.privateKey))],
  ['alg none', 20, 401, () => bearer(`${base64url({ typ: 'at+jwt', alg: 'none' })}.${base64url({ iss: issuer })}.`)],
  ['a long one, of one letter', 20, 401, () => bearer('a'.repeat(16_385))],
  [
    'deeply nested',
    10,
    401,
    () => bearer(`${base64url({ alg: 'ES256' })}.${Buffer.from('['.repeat(5000)).toString('base64url')}.AAAA`)
  ],
  ['two tokens in one line', 30, 400, () => ({ authorization: `Bearer ${pick(warm)}, Bearer ${pick(warm)}` })],
  ['another scheme', 30, 401, () => ({ authorization: `Basic ${random(12)}` })],
  ['none', 30, 401, () => ({})]
]
const wheel = MIX.flatMap((entry) => Array(entry[1]).fill(entry))

/** @type {Map<string, number>} */
const wrong = new Map()
/** @param {number} count */
async function serve(count) {
  for (let left = count; left > 0; left -= BATCH) {
    await Promise.all(
      Array.from({ length: Math.min(BATCH, left) }, async (_, i) => {
        const [kind, , right, make] = /** @type {(typeof MIX)[number]} */ (pick(wheel))
        const fields = make()
        const got =
          i < SOCKET_SHARE && kind !== 'a long one, of one letter' ? await overSocket(fields) : await status(fields)
        if (got !== right)
          wrong.set(`${kind}: ${got}, not ${right}`, (wrong.get(`${kind}: ${got}, not ${right}`) ?? 0) + 1)
      })
    )
    served += Math.min(BATCH, left)
  }
}

async function heapAfterCollection() {
  // Finalizers and what they free take more than one round.
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}

// ---- the run

/** @type {string[]} */
const violations = []
await api.ready()
const started = performance.now()
// Caches fill until they are full; only what comes after could be a leak.
const filling = Math.min(10_000, Math.floor(requests / 3))
for (let i = 0; i < filling; i++) await status(bearer(token()))
for (let i = 0; i < 1000; i++) await status(bearer(random(24)))
const warmUp = filling + 1000 + Math.floor(requests / 10)
await serve(Math.floor(requests / 10))
const before = await heapAfterCollection()
await serve(Math.max(0, requests - warmUp))
const after = await heapAfterCollection()
const seconds = (performance.now() - started) / 1000

const { cache, issuers, replay } = api.stats()
/** @type {readonly (readonly [name: string, count: number, most: number])[]} */
const counts = [
  ['verified tokens', cache.verified.entries, cache.verified.maxEntries],
  ['verified tokens, bytes', cache.verified.bytes, cache.verified.maxBytes],
  ['active answers', cache.active.entries, cache.active.maxEntries],
  ['active answers, bytes', cache.active.bytes, cache.active.maxBytes],
  ['inactive answers', cache.inactive.entries, cache.inactive.maxEntries],
  ['inactive answers, bytes', cache.inactive.bytes, cache.inactive.maxBytes],
  ['questions under way', cache.introspecting, 0],
  ['issuers', issuers, 1],
  ['used proofs', replay?.entries ?? 0, replay?.maxEntries ?? 0]
]
const healthy = api.health().status

agent.destroy()
front.close()
front.closeAllConnections()
server.close()
server.closeAllConnections()
await Promise.all([once(front, 'close'), once(server, 'close'), api.close()])
// Sockets that were just ended say so in the next turns of the loop.
/** @type {string[]} */
let handles = []
for (let turn = 0; turn < 200; turn++) {
  await new Promise((resolve) => setImmediate(resolve))
  handles = process.getActiveResourcesInfo().filter((name) => !/^(TTYWrap|PipeWrap|Immediate|CloseReq)$/.test(name))
  if (handles.length === 0) break
}

const megabytes = (/** @type {number} */ bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`
const ratio = after / before
console.log(`${requests} requests in ${seconds.toFixed(1)} s, ${Math.round(requests / seconds)} a second`)
console.log(
  `heap ${megabytes(before)} after warm-up (${warmUp} requests), ${megabytes(after)} at the end: × ${ratio.toFixed(3)}`
)
for (const [name, count, most] of counts) {
  console.log(`${name}: ${count} of at most ${most}`)
  if (count > most) violations.push(`${name}: ${count}, more than ${most}`)
}
console.log(`open handles after close(): ${handles.join(', ') || 'none'}`)
if (ratio > 1.1) violations.push(`the heap grew to ${ratio.toFixed(3)} times that after warm-up; at most 1.1`)
if (handles.length > 0) violations.push(`left open: ${handles.join(', ')}`)
if (healthy !== 'ok') violations.push(`health() says ${healthy}`)
mkdirSync('coverage', { recursive: true })
writeFileSync('coverage/soak.json', JSON.stringify({ requests, seconds, warmUp, before, after, handles }))
for (const [what, count] of wrong) violations.push(`${what} (${count} times)`)
for (const violation of violations) console.error(`violated: ${violation}`)
process.exitCode = violations.length > 0 ? 1 : 0
