// @ts-check
/**
 * Counts what a request costs, in things that can be counted and not in time: signature checks, hashes, parsed texts,
 * promises, requests to the authorization server, bytes allocated. Runs in a process of its own, since what it counts with
 * stays in place. Prints one JSON object: a scenario → its counts.
 */
import { createHook } from 'node:async_hooks'
import crypto from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { createTokens, JKT, JWKS, RESOURCE, Request, seconds } from './tokens.mjs'

const count = { verify: 0, pooled: 0, hash: 0, parse: 0, promises: 0, requests: 0 }

// ---- counting, before the package is loaded

const { verify, hash, createHash, createHmac, createPublicKey } = crypto
const counting = /** @type {any} */ (crypto)
counting.verify = (/** @type {any[]} */ ...args) => {
  count[typeof args[4] === 'function' ? 'pooled' : 'verify']++
  return /** @type {any} */ (verify)(...args)
}
for (const [name, real] of Object.entries({ hash, createHash, createHmac, createPublicKey })) {
  counting[name] = (/** @type {any[]} */ ...args) => {
    count.hash++
    return /** @type {any} */ (real)(...args)
  }
}
syncBuiltinESMExports()
const parse = JSON.parse
JSON.parse = (text, reviver) => {
  count.parse++
  return parse(text, reviver)
}
const hook = createHook({
  init: (_id, type) => {
    if (type === 'PROMISE') count.promises++
  }
})

const { noClientAuth, ResourceServerError, resourceServer, scope } = await import('oauth-resource-server')

// ---- an authorization server

const server = createServer((request, response) => {
  count.requests++
  request.resume().on('end', () => {
    response.setHeader('Content-Type', 'application/json')
    if (request.url === '/jwks') response.end(JSON.stringify(JWKS))
    else if (request.url === '/introspect') response.end(JSON.stringify({ active: true, aud: RESOURCE, scope: 'read' }))
    else
      response.end(
        JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks`, introspection_endpoint: `${issuer}/introspect` })
      )
  })
})
await once(server.listen(0, '127.0.0.1'), 'listening')
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
const issuer = `http://127.0.0.1:${port}`

const { accessToken, proof } = createTokens(issuer)

const settings = { resource: RESOURCE, issuers: [{ issuer }] }
const introspected = {
  issuer,
  tokens: /** @type {const} */ ('both'),
  introspection: { auth: noClientAuth(), clientId: 'api' }
}
const api = resourceServer({ ...settings, dpop: { advertise: true } })
const asking = resourceServer({ ...settings, issuers: [introspected] })
const [route, askingRoute] = [api.protect(scope('read')), asking.protect(scope('read'))]
await Promise.all([api.ready(), asking.ready()])

// ---- counting

/** @type {Record<string, object>} */
const results = {}

/**
 * What happens in one turn of the event loop, and until all of it is done.
 *
 * @param {string} name @param {() => unknown} run
 */
async function counted(name, run) {
  await new Promise((resolve) => setImmediate(resolve))
  for (const what of /** @type {(keyof typeof count)[]} */ (Object.keys(count))) count[what] = 0
  hook.enable()
  let outcome
  try {
    outcome = run()
  } catch (error) {
    outcome = error
  }
  hook.disable()
  const { promises } = count
  const all = Array.isArray(outcome) ? outcome : [outcome]
  const isAsync = all.some((one) => typeof one?.then === 'function')
  const statuses = await Promise.all(
    all.map(async (one) => {
      try {
        const known = await one
        return known instanceof ResourceServerError ? known.status : 200
      } catch (error) {
        if (!(error instanceof ResourceServerError)) throw error
        return error.status
      }
    })
  )
  results[name] = { ...count, promises, isAsync, statuses: [...new Set(statuses)] }
}

const bearer = (/** @type {string} */ token) => new Request(`Bearer ${token}`)
const many = (/** @type {number} */ n, /** @type {(i: number) => unknown} */ make) =>
  Array.from({ length: n }, (_, i) => make(i))

const hot = accessToken()
await route.authorize(bearer(hot))
const again = bearer(hot)
await counted('warm', () => route.authorize(again))

const fresh = bearer(accessToken())
await counted('first sight', () => route.authorize(fresh))

const burst = many(30, () => bearer(accessToken()))
// As long as the clock stands still, everything has time in one batch.
performance.now = () => 0
await counted('a burst of 30', () => burst.map((one) => /** @type {any} */ (route).authorize(one)))
Reflect.deleteProperty(performance, 'now')

// The first wrong signature of 30 s by a known key renews the key set, which no request waits for.
try {
  await route.authorize(bearer(`${accessToken().slice(0, -8)}AAAAAAAA`))
} catch {
  // As it should be.
}
await new Promise((resolve) => setTimeout(resolve, 100))
// The first token that names a key imports it.
await route.authorize(bearer(accessToken()))
for (const [name, token] of Object.entries({
  garbage: 'not-a-token',
  malformed: `${hot.slice(0, 30)}!${hot.slice(31)}`,
  expired: accessToken({ exp: seconds() - 60 }),
  audience: accessToken({ aud: 'https://other.example.com' }),
  issuer: accessToken({ iss: 'https://other.example.com' }),
  algorithm: accessToken({}, { alg: 'none' }),
  signature: `${hot.slice(0, -8)}AAAAAAAA`
})) {
  const request = bearer(token)
  await counted(`refused: ${name}`, () => route.authorize(request))
}

const unknown = many(200, (i) => bearer(accessToken({}, { kid: `made-up-${i}` })))
await counted('200 unknown keys', () =>
  unknown.map((one) => {
    try {
      return /** @type {any} */ (route).authorize(one)
    } catch (error) {
      return error
    }
  })
)

const bound = accessToken({ cnf: { jkt: JKT } })
await route.authorize(new Request(`DPoP ${bound}`, proof(bound)))
const proven = new Request(`DPoP ${bound}`, proof(bound))
await counted('DPoP, warm', () => route.authorize(proven))

const opaque = many(1000, () => bearer('an-opaque-token-of-a-usual-length'))
await counted('1000 callers with one opaque token', () =>
  opaque.map((one) => /** @type {any} */ (askingRoute).authorize(one))
)
await askingRoute.authorize(/** @type {any} */ (opaque[0]))
await counted('an opaque token, warm', () => askingRoute.authorize(/** @type {any} */ (opaque[0])))

// ---- bytes: what a warm request leaves behind, by the heap before and after, with no collection between

const gc = /** @type {() => void} */ (globalThis.gc)
const WARM = 20_000
const MEASURED = 2000
const request = bearer(hot)
/** @type {number[]} */
const samples = []
for (let round = 0; round < 20; round++) {
  for (let i = 0; i < WARM; i++) void route.authorize(request)
  // Optimized code is made on another thread, and taken in a later turn.
  await new Promise((resolve) => setTimeout(resolve, 5))
  gc()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < MEASURED; i++) void route.authorize(request)
  samples.push((process.memoryUsage().heapUsed - before) / MEASURED)
}
results['bytes of a warm request'] = { bytes: Math.round(Math.min(...samples)) }

// ---- the same of a first sight, one in each turn, beside what a turn costs by itself

const SIGHTS = 200
const turn = () => new Promise((resolve) => setImmediate(resolve))
/** @param {(i: number) => unknown} run */
async function allocated(run) {
  gc()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < SIGHTS; i++) {
    await turn()
    run(i)
  }
  return (process.memoryUsage().heapUsed - before) / SIGHTS
}
/** @type {number[]} */
const sights = []
for (let round = 0; round < 16; round++) {
  const unseen = many(SIGHTS, () => bearer(accessToken()))
  const empty = await allocated(() => undefined)
  sights.push((await allocated((i) => route.authorize(/** @type {Request} */ (unseen[i])))) - empty)
}
results['bytes of a first sight'] = { bytes: Math.round(Math.min(...sights)) }

console.log(JSON.stringify(results))
await Promise.all([api.close(), asking.close()])
server.close()
server.closeAllConnections()
