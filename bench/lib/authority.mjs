// @ts-check
/**
 * The authorization server of the benchmark, in a process of its own: metadata, key set, introspection, and a count of
 * what it was asked. Signs all tokens before anything is measured and leaves them in a file.
 *
 * `node authority.mjs <file> <tokens per algorithm>`; says `{ issuer }` to its parent when it is ready.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { promisify } from 'node:util'

const [file = '', count = '9000', builtIn = ''] = process.argv.slice(2)
const AUDIENCE = 'https://api.example.com'
const signAsync = promisify(sign)

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const SIGNERS = {
  RS256: { kid: 'rsa-1', key: rsa },
  ES256: { kid: 'ec-1', key: ec }
}
const jwks = {
  keys: Object.entries(SIGNERS).map(([alg, { kid, key }]) => ({
    ...key.publicKey.export({ format: 'jwk' }),
    kid,
    alg,
    use: 'sig'
  }))
}

const base64url = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const now = Math.floor(Date.now() / 1000)
let serial = 0

/**
 * @param {'RS256' | 'ES256'} alg
 * @param {object} [claims]
 * @param {object} [header]
 */
async function mint(alg, claims, header) {
  const { kid, key } = SIGNERS[alg]
  const id = String(serial++).padStart(7, '0')
  const payload = {
    iss: issuer,
    aud: AUDIENCE,
    sub: `user-${id}`,
    client_id: 'web-app-1',
    iat: now - 60,
    exp: now + 7200,
    jti: createHash('sha256').update(id).digest('base64url'),
    scope: 'openid profile read write',
    auth_time: now - 600,
    acr: 'urn:example:loa:2',
    groups: ['staff', 'accounting', 'berlin'],
    email: `user-${id}@example.com`,
    ...claims
  }
  const input = `${base64url({ alg, typ: 'at+jwt', kid, ...header })}.${base64url(payload)}`
  const signature = await signAsync('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** @param {number} n @param {(i: number) => Promise<string>} make */
const list = async (n, make) => {
  /** @type {string[]} */
  const made = []
  for (let i = 0; i < n; i += 64) {
    made.push(...(await Promise.all(Array.from({ length: Math.min(64, n - i) }, (_, j) => make(i + j)))))
  }
  return made
}

// ---- what is served

const asked = { metadata: 0, jwks: 0, introspection: 0 }
const server = createServer((request, response) => {
  const json = (/** @type {unknown} */ body) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  const path = request.url ?? ''
  if (path === '/asked') return json(asked)
  if (path.startsWith('/.well-known/jwks') || path === '/jwks') {
    asked.jwks++
    return json(jwks)
  }
  if (path.startsWith('/.well-known/')) {
    asked.metadata++
    return json({
      issuer,
      jwks_uri: `${issuer}/jwks`,
      introspection_endpoint: `${issuer}/introspect`,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256', 'ES256']
    })
  }
  if (path !== '/introspect') return response.writeHead(404).end()
  asked.introspection++
  request.resume()
  // Long enough that everybody who asks meanwhile could have shared the answer.
  setTimeout(() => {
    json({ active: true, iss: issuer, aud: AUDIENCE, sub: 'u1', client_id: 'c1', exp: now + 7200, scope: 'read write' })
  }, 20)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const issuer = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`

// ---- what is signed

const few = 200
const many = Number(count)
const random = (/** @type {string} */ text) => createHash('sha512').update(text).digest('base64url')
const noise = (/** @type {number} */ seed, /** @type {number} */ length) =>
  Array.from({ length: Math.ceil(length / 86) }, (_, part) => random(`${seed} ${part}`))
    .join('')
    .slice(0, length)
const forge = (/** @type {string} */ token, /** @type {number} */ i) => {
  const dot = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(dot + 1), 'base64url')
  signature[i % 60] = (signature[i % 60] ?? 0) ^ 1
  return `${token.slice(0, dot)}.${signature.toString('base64url')}`
}
/** Of a thousand issuers in turn, of which this server is the first. @param {number} i */
const ofMany = (i) => mint('RS256', i % 1000 === 0 ? {} : { iss: `https://as-${i % 1000}.example.com` })
const rs256 = await list(many, () => mint('RS256'))
const es256 = await list(many, () => mint('ES256'))
/** @type {Record<string, readonly string[]>} */
const tokens = {
  rs256,
  es256,
  others: await list(10_000, () => mint('ES256')),
  issuers: await list(many, ofMany),
  // All that are refused are as long as those that are accepted.
  garbage: Array.from({ length: few }, (_, i) => noise(i, rs256[0]?.length ?? 0)),
  expired: await list(few, () => mint('RS256', { iat: now - 7200, exp: now - 3600 })),
  audience: await list(few, () => mint('RS256', { aud: 'https://app.example.com' })),
  kid: await list(few, (i) => mint('RS256', {}, { kid: `n-${String(i).padStart(3, '0')}` })),
  forged: rs256.slice(0, few).map(forge),
  opaque: Array.from({ length: few }, (_, i) => random(`opaque ${i}`)),
  scopes: await list(few, () => mint('RS256', { scope: Array.from({ length: 100 }, (_, i) => `scope:${i}`).join(' ') }))
}

for (const kind of ['garbage', 'expired', 'audience', 'kid', 'forged'])
  for (const token of tokens[kind] ?? [])
    if (token.length !== rs256[0]?.length) throw new Error(`a token ${kind} is not as long as the others`)

/** Bound tokens of a hundred clients, with the keys to make proofs for them. */
const clients = await Promise.all(
  Array.from({ length: 100 }, async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const publicJwk = pair.publicKey.export({ format: 'jwk' })
    const { kty, crv, x, y } = publicJwk
    const jkt = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
    return {
      privateJwk: pair.privateKey.export({ format: 'jwk' }),
      publicJwk: /** @type {import('node:crypto').JsonWebKey} */ ({ kty, crv, x, y }),
      token: await mint('RS256', { cnf: { jkt } })
    }
  })
)

/** @type {import('./types.d.ts').Fixture} */
const fixture = {
  issuer,
  jwksUri: `${issuer}/jwks`,
  audience: AUDIENCE,
  jwks: /** @type {never} */ (jwks),
  package: builtIn,
  tokens,
  clients
}
writeFileSync(file, JSON.stringify(fixture))
process.send?.({ issuer })
process.once('disconnect', () => process.exit())
