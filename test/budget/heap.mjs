/**
 * How much heap remembered tokens hold, beside what `stats()` says of it: `node --expose-gc test/budget/heap.mjs [kind]…`.
 * Prints JSON: for each kind of token, bytes held and bytes counted, per token. Sizes, never times.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { resourceServer } from '../../dist/src/index.js'

const RESOURCE = 'https://api.example.com'
/** Characters of all tokens of a kind together: enough for what else comes and goes in the heap not to count. */
const CHARACTERS = 600_000
const random = (length) => randomBytes(length).toString('base64url').slice(0, length)
const list = (length, make) => Array.from({ length }, (_, i) => make(i))

/** What claims hold beside those that RFC 9068 requires. */
const SHAPES = {
  'rfc9068, 600 characters': () => ({ sid: random(20) }),
  'rfc9068, one long text, 2000': () => ({ note: random(1100) }),
  'rfc9068, one long text, 4000': () => ({ note: random(2500) }),
  'roles of one realm, 1300 (Keycloak)': () => ({
    acr: '1',
    azp: 'web-app',
    typ: 'Bearer',
    sid: random(36),
    session_state: random(36),
    realm_access: { roles: ['offline_access', 'uma_authorization', 'default-roles-example'] },
    resource_access: { account: { roles: ['manage-account', 'manage-account-links', 'view-profile'] } },
    'allowed-origins': ['https://app.example.com'],
    email_verified: true,
    name: `${random(8)} ${random(8)}`,
    preferred_username: random(12),
    email: `${random(10)}@example.com`
  }),
  'many permissions, 2000 (Auth0)': () => ({
    azp: random(32),
    permissions: list(40, (i) => `${['read', 'write', 'admin', 'list'][i % 4]}:resource-${i}`),
    'https://example.com/org': random(16)
  }),
  'groups by identifier, 3000 (Entra ID)': () => ({
    oid: random(36),
    tid: random(36),
    groups: list(40, () => random(36))
  }),
  'authorization_details, 2500': () => ({
    authorization_details: list(8, () => ({
      type: 'account_information',
      locations: ['https://api.example.com'],
      actions: ['list_accounts', 'read_balances'],
      datatypes: ['contacts', 'photos'],
      identifier: random(20)
    }))
  }),
  'numbers, 2000': () => ({ numbers: list(250, () => Math.floor(Math.random() * 1000)) }),
  'fractions, 3000': () => ({ numbers: list(100, () => Math.random()) }),
  'empty objects, 3000': () => ({ nests: list(550, () => ({})) }),
  'empty lists, 3000': () => ({ nests: list(550, () => []) }),
  'names not in Latin letters, 1500': () => ({
    name: list(150, () => String.fromCharCode(0x4e00 + Math.random() * 5000)).join('')
  }),
  'members of names of their own, 3500': () => ({ map: Object.fromEntries(list(60, () => [random(12), random(8)])) })
}

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const now = Math.floor(Date.now() / 1000)

/** @returns {Buffer[]} `Authorization` fields: outside the heap, until they come with a request */
function fieldsOf(make, issuer, count) {
  const head = { alg: 'ES256', typ: 'at+jwt', kid: 'k1' }
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return list(count, () => {
    const claims = {
      iss: issuer,
      aud: RESOURCE,
      sub: random(36),
      client_id: 'client-1',
      iat: now,
      exp: now + 3600,
      jti: random(22),
      scope: 'orders:read orders:write',
      ...make()
    }
    const input = `${encode(head)}.${encode(claims)}`
    const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    return Buffer.from(`Bearer ${input}.${signature.toString('base64url')}`, 'latin1')
  })
}

const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }] })
const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(jwks)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const origin = `http://127.0.0.1:${server.address().port}`

/** After a turn for each collection: finalizers and compiled code are freed between turns. */
const heap = async () => {
  for (let i = 0; i < 6; i++) {
    globalThis.gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

async function send(api, field) {
  const text = field.toString('latin1')
  return api.authorize({ method: 'GET', url: '/', fieldLines: (name) => (name === 'authorization' ? [text] : []) })
}

/** All to the end: what is freed while another one is measured would be taken from it. */
const apis = []

async function measure(make, count) {
  const api = resourceServer({ resource: RESOURCE, issuers: [{ issuer: origin, jwksUri: `${origin}/jwks` }] })
  apis.push(api)
  const fields = fieldsOf(make, origin, count)
  // What comes with the first tokens, and is of all of them, is none of theirs: the table, shapes of objects.
  for (const field of fieldsOf(make, origin, 100)) await send(api, field)
  const warm = api.stats().cache.verified
  const before = await heap()
  for (const field of fields) await send(api, field)
  const after = await heap()
  const { bytes, entries } = api.stats().cache.verified
  const kept = entries - warm.entries
  await api.close()
  return {
    characters: Math.round(fields.reduce((sum, { length }) => sum + length, 0) / fields.length),
    kept,
    held: Math.round((after - before) / kept),
    counted: Math.round((bytes - warm.bytes) / kept)
  }
}

const result = {}
const first = Object.values(SHAPES)[0]
await measure(first, 500)
/** Kinds that were asked for; empty for all. */
const asked = process.argv.slice(2)
for (const [name, make] of Object.entries(SHAPES)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const [{ length }] = fieldsOf(make, origin, 1)
  result[name] = await measure(make, Math.round(CHARACTERS / length))
}
process.stdout.write(`${JSON.stringify(result, null, 1)}\n`)
server.close()
server.closeAllConnections()
