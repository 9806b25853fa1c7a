/**
 * How much heap key sets and metadata of hostile issuers hold, beside what `stats()` says of them:
 * `node --expose-gc test/budget/keys.mjs`. Prints JSON: bytes held and bytes counted. Sizes, never times.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { resourceServer } from '../../dist/src/index.js'

const RESOURCE = 'https://api.example.com'
const ISSUERS = 40
const KEYS = 100

const keys = Array.from({ length: KEYS }, (_, i) => {
  const n = randomBytes(1024)
  n[0] = 0xff
  n[1023] = 0xff
  return { kty: 'RSA', e: 'AQAB', n: n.toString('base64url'), kid: `${'k'.repeat(240)}${i}`, alg: 'RS256' }
})
const jwks = JSON.stringify({ keys })
const pad = Array.from({ length: 1700 }, (_, i) => `m${i}`)

const server = createServer((request, response) => {
  const [, , , i] = String(request.url).split('/')
  const metadata = { issuer: `${origin}/${i}`, jwks_uri: `${origin}/-/jwks/${i}`, pad }
  response.setHeader('content-type', 'application/json')
  response.end(String(request.url).startsWith('/-/jwks/') ? jwks : JSON.stringify(metadata))
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const origin = `http://127.0.0.1:${server.address().port}`
const api = resourceServer({ resource: RESOURCE, issuers: (iss) => iss, http: { publicAddressesOnly: false } })

const json = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token whose signature is wrong, so that the set is read, a key is imported, and the set is fetched once more. */
async function send(i, key) {
  const time = Math.floor(Date.now() / 1000)
  const claims = {
    iss: `${origin}/${i}`,
    aud: RESOURCE,
    sub: 's',
    client_id: 'c',
    jti: `${i}-${key}`,
    iat: time,
    exp: time + 300
  }
  const header = { typ: 'at+jwt', alg: 'RS256', kid: keys[key].kid }
  const token = `${json(header)}.${json(claims)}.${randomBytes(1024).toString('base64url')}`
  const fieldLines = (name) => (name === 'authorization' ? [`Bearer ${token}`] : [])
  try {
    await api.authorize({ method: 'GET', url: '/', fieldLines })
  } catch (error) {
    if (error.reason === 'signature') return
    throw error
  }
  throw new Error('a token with a wrong signature was let in')
}

/** Until nothing is fetched any more: the renewals in the background have ended. */
async function settled() {
  for (let i = 0; i < 5; i++) {
    global.gc()
    await sleep(100)
  }
  return process.memoryUsage().heapUsed
}

// What the first exchange loads is nobody's keys.
await send(0, 0)
const [before, counted] = [await settled(), api.stats().keySets.bytes]
for (let i = 1; i <= ISSUERS; i++) for (const key of [0, 1]) await send(i, key)
const held = (await settled()) - before
process.stdout.write(
  JSON.stringify({ held, counted: api.stats().keySets.bytes - counted, issuers: api.stats().issuers })
)
await api.close()
server.close()
server.closeAllConnections()
