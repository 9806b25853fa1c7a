/** `doctor` against servers as they are: over real sockets, it comes to the verdict of the resource server itself. */

import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fetchDispatcher } from '../../adapters/fetch.js'
import { type DoctorOptions, doctor } from '../../src/cli/doctor/doctor.js'
import type { Terminal } from '../../src/cli/terminal.js'
import { type HttpOptions, type IssuerOptions, resourceServer } from '../../src/index.js'
import { ask, createBed, refusal } from '../support/exchange.js'
import { type Behaviour, createSigningKey, fault, type IssuerSettings, type TestIssuer } from '../support/issuer.js'
import { startTls } from '../support/tls.js'

const bed = createBed()
const folder = mkdtempSync(join(tmpdir(), 'doctor-'))
afterAll(() => rmSync(folder, { recursive: true }))
beforeAll(() => import('undici'))

/** Limits under which a server that says nothing is soon given up. */
const BRIEF: HttpOptions = { timeout: 0.4, deadline: 0.5 }

async function examine(
  options: Partial<DoctorOptions> & { readonly issuer: string },
  http?: HttpOptions
): Promise<{ readonly out: string; readonly code: number }> {
  let out = ''
  const terminal: Terminal = {
    isTTY: false,
    noColor: true,
    out: (text) => {
      out += text
    },
    err: () => undefined,
    input: async () => '',
    readFile: async () => '',
    readPage: async () => '',
    fetch,
    now: bed.clock.now,
    http
  }
  const code = await doctor({ json: false, ...options }, terminal)
  return { out, code }
}

/** An issuer that refuses to introspect for callers it does not know, as it should. */
async function start(settings?: IssuerSettings): Promise<TestIssuer> {
  const issuer = await bed.issuer(settings)
  issuer.introspectionAuth = () => false
  // The clock of the test is not the one that Node writes into `Date`.
  for (const endpoint of ['metadata', 'jwks'] as const) issuer.always(endpoint, undated(fault.none()))
  return issuer
}

function undated(behaviour: Behaviour): Behaviour {
  return (exchange) => {
    exchange.response.sendDate = false
    behaviour(exchange)
  }
}

/** Behaves so at one well-known place, and well at the others. */
function at(place: string, behaviour: Behaviour): Behaviour {
  return (exchange) => (exchange.request.path.includes(place) ? behaviour : fault.none())(exchange)
}

/** The normal answer with another body. */
function sending(change: (body: string) => string | Uint8Array, headers: Record<string, string> = {}): Behaviour {
  return ({ response, normal }) => {
    response.writeHead(normal.status, { ...normal.headers, ...headers }).end(change(normal.body))
  }
}

const gzip = sending((body) => gzipSync(body), { 'content-encoding': 'gzip' })
const gzipIfAsked: Behaviour = (exchange) =>
  (/gzip/.test(exchange.request.headers['accept-encoding'] ?? '') ? gzip : fault.none())(exchange)
const latin1 = sending((body) => Buffer.from(body.replace('{', '{"name":"\u00e9",'), 'latin1'))
const FIRST = 'oauth-authorization-server'

interface More {
  readonly discovery?: IssuerSettings['discovery']
  readonly http?: HttpOptions
}

type Situation = readonly [
  title: string,
  verdict: 'works' | 500 | 503,
  arrange: (issuer: TestIssuer) => unknown,
  more?: More
]

const metadata =
  (behaviour: Behaviour) =>
  (issuer: TestIssuer): void =>
    issuer.always('metadata', undated(behaviour))
const keys =
  (behaviour: Behaviour) =>
  (issuer: TestIssuer): void =>
    issuer.always('jwks', undated(behaviour))
const encryptionKeys = ({ jwks }: TestIssuer): void => {
  jwks.keys = jwks.keys.map((key) => ({ ...key, use: 'enc' }))
}
const manyKeys =
  (count: number) =>
  ({ jwks }: TestIssuer): void => {
    const { publicJwk } = createSigningKey('ES256')
    while (jwks.keys.length < count) jwks.keys.push({ ...publicJwk, kid: `more-${jwks.keys.length}` })
  }

const SITUATIONS: readonly Situation[] = [
  ['a good server', 'works', () => undefined],
  ['the document at the second well-known place', 'works', () => undefined, { discovery: 'openid-insert' }],
  ['503 at the first place', 'works', metadata(at(FIRST, fault.status(503))), { discovery: 'openid-insert' }],
  ['a page at the first place', 'works', metadata(at(FIRST, fault.html200())), { discovery: 'openid-insert' }],
  [
    'silence at the first place',
    'works',
    metadata(at(FIRST, fault.hang())),
    { discovery: 'openid-insert', http: { timeout: 2, deadline: 3 } }
  ],
  [
    'another issuer at the first place',
    'works',
    metadata(at(FIRST, fault.wrongIssuer())),
    { discovery: ['rfc8414', 'openid-insert'] }
  ],
  ['503 at every place', 503, metadata(fault.status(503))],
  ['404 at every place', 500, metadata(fault.status(404))],
  ['text/plain metadata', 500, metadata(fault.contentType('text/plain'))],
  ['HTML in place of metadata', 500, metadata(fault.html200())],
  ['broken JSON', 500, metadata(fault.invalidJson())],
  ['gzip without being asked', 'works', metadata(gzip)],
  ['gzip for clients that ask for it', 'works', metadata(gzipIfAsked)],
  ['gzip that grows beyond the bound', 503, metadata(fault.gzipBomb(1024 * 1024))],
  ['a byte order mark', 'works', metadata(sending((body) => `\uFEFF${body}`))],
  ['metadata that are not UTF-8', 503, metadata(latin1)],
  ['metadata later than the deadline', 503, metadata(fault.hang()), { http: BRIEF }],
  ['metadata that name another issuer', 500, metadata(fault.wrongIssuer())],
  ['redirected metadata', 500, metadata(fault.redirect())],
  ['metadata of more than 256 KiB', 503, metadata(fault.oversize(256 * 1024))],
  ['metadata without jwks_uri', 500, ({ metadata: document }) => void delete document['jwks_uri']],
  ['text/plain keys', 'works', keys(fault.contentType('text/plain'))],
  [
    'compressed keys with a byte order mark',
    'works',
    keys(sending((body) => gzipSync(`\uFEFF${body}`), { 'content-encoding': 'gzip' }))
  ],
  ['redirected keys', 503, keys(fault.redirect())],
  ['100 keys', 'works', manyKeys(100)],
  ['101 keys', 503, manyKeys(101)],
  ['an empty key set', 503, keys(fault.emptySet())],
  ['keys that are all for encryption', 503, encryptionKeys],
  [
    'an encryption key beside the key',
    'works',
    ({ jwks }) => void jwks.keys.push({ ...createSigningKey('ES256', { kid: 'enc' }).publicJwk, use: 'enc' })
  ],
  [
    'a short key beside the key',
    'works',
    ({ jwks }) => void jwks.keys.push(createSigningKey('RS256', { kid: 'short', modulusLength: 1024 }).publicJwk)
  ],
  ['401 for the keys', 503, keys(fault.status(401))],
  ['403 for the keys', 503, keys(fault.status(403))],
  ['keys that are not UTF-8', 503, keys(latin1)],
  ['keys later than the deadline', 503, keys(fault.hang()), { http: BRIEF }],
  ['keys of more than 256 KiB', 503, keys(fault.oversize(256 * 1024))],
  ['reset connections', 503, metadata(fault.reset())]
]

describe('doctor agrees with the resource server', () => {
  const statusOf = async (attempt: () => unknown): Promise<unknown> =>
    (await refusal(attempt).catch(() => undefined))?.status ?? 'works'

  test.each(SITUATIONS.map(([title, verdict, arrange, more = {}]) => ({ title, verdict, arrange, ...more })))(
    'about $title: $verdict',
    async ({ verdict, arrange, discovery, http = {} }) => {
      const issuer = await start(discovery === undefined ? {} : { discovery })
      arrange(issuer)
      const options = { issuers: [issuer.issuer], http }
      const [ready, answered, examined] = await Promise.all([
        statusOf(() => bed.api(options).ready()),
        ask(bed.api(options), issuer.token()),
        examine({ issuer: issuer.issuer }, http)
      ])
      expect([ready, answered.status]).toEqual([verdict, verdict === 'works' ? 200 : verdict])
      expect(examined.code === 0, examined.out).toBe(verdict === 'works')
    }
  )
})

/** A port of this machine where no server listens. */
async function closedPort(): Promise<number> {
  const server = createTcpServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

describe('doctor tells', () => {
  test('the whole URL of each place that was asked, what it answered, and which one the API asks from then on', async () => {
    const issuer = await start({ path: '/tenant', discovery: 'openid-append' })
    issuer.always('metadata', undated(at('/.well-known/openid-configuration/tenant', fault.html200())))
    issuer.script('metadata', fault.status(502), fault.status(502))
    const { out, code } = await examine({ issuer: issuer.issuer })
    const known = `${issuer.origin}/tenant/.well-known/openid-configuration`
    expect(out).toContain(
      `! Metadata at ${issuer.origin}/.well-known/oauth-authorization-server/tenant\n    answered 502\n`
    )
    expect(out).toContain(
      `! Metadata at ${issuer.origin}/.well-known/openid-configuration/tenant\n    answered with text/html, not JSON\n`
    )
    expect(out).toContain(`✓ Metadata at ${known}\n    The API asks this place alone from then on.`)
    expect(code).toBe(0)
    issuer.reset()
    const again = await examine({ issuer: issuer.issuer, metadataUrl: known })
    expect(again.out).toContain(`metadataUrl: "${known}"`)
    expect(issuer.requests.filter(({ endpoint }) => endpoint === 'metadata').map(({ path }) => path)).toEqual([
      '/tenant/.well-known/openid-configuration'
    ])
  })

  test('a place that was asked and has not answered by the time another one had the document', async () => {
    const issuer = await start({ discovery: 'openid-insert' })
    issuer.always('metadata', undated(at(FIRST, fault.hang())))
    const { out, code } = await examine({ issuer: issuer.issuer }, { timeout: 2, deadline: 2 })
    expect(out).toContain(`! Metadata at ${issuer.origin}/.well-known/${FIRST}\n    had not answered when`)
    expect(code).toBe(0)
  })

  test('the status that the API answers without metadata, and exits 2 only if no place was reached', async () => {
    const unreached = await examine({ issuer: `http://127.0.0.1:${await closedPort()}` })
    expect(unreached.out).toMatch(/could not be reached\n {4}.*ECONNREFUSED/)
    expect(unreached.out).toContain('Without it the API answers 503 to every token. Is the address right')
    expect(unreached.code).toBe(2)
    const silent = await start()
    silent.always('metadata', fault.hang())
    const late = await examine({ issuer: silent.issuer }, BRIEF)
    expect(late.out).toContain('did not answer within')
    expect(late.code).toBe(1)
  })

  test('what to change where no place has the document, and not what is given already', async () => {
    const issuer = await start()
    issuer.always('metadata', fault.status(404))
    const { out } = await examine({ issuer: issuer.issuer })
    expect(out).toContain(
      'answers 500 to every token. Set `issuer` to exactly what the metadata names, or give `metadataUrl`'
    )
    const given = await examine({ issuer: issuer.issuer, metadataUrl: `${issuer.origin}/.well-known/other` })
    expect(given.out).toContain('or give `jwksUri` (--jwks-uri).')
    expect(given.out).not.toContain('--metadata-url')
    issuer.always('metadata', fault.status(401))
    expect((await examine({ issuer: issuer.issuer })).out).toContain(
      'No credentials are sent for metadata: give `jwksUri`'
    )
  })

  test('a set in which each key has broken members: no token can be verified', async () => {
    const issuer = await start()
    issuer.jwks.keys = issuer.jwks.keys.map((key) => ({ ...key, x: key['y'] }))
    const { out, code } = await examine({ issuer: issuer.issuer })
    expect(out).toContain('0 of 1 usable')
    expect(out).toContain('Not used: keys[0] has missing or invalid members')
    expect(code).toBe(1)
  })

  test('keys for another use without a warning, and a private key as a failure', async () => {
    const issuer = await start()
    const other = createSigningKey('ES256', { kid: 'enc' })
    issuer.jwks.keys.push({ ...other.publicJwk, use: 'enc' })
    const well = await examine({ issuer: issuer.issuer })
    expect(well.out).toContain('· Passed over: 1 for another use, such as encryption')
    expect(well.out).not.toMatch(/Not used|[!✗] /)
    issuer.jwks.keys.push({ ...other.privateKey.export({ format: 'jwk' }), kid: 'private' })
    const leaked = await examine({ issuer: issuer.issuer })
    expect(leaked.out).toContain('✗ Not used: keys[2] is a private or symmetric key')
    expect(leaked.code).toBe(1)
  })

  test.each([
    [
      'redirected keys',
      keys(fault.redirect()),
      'answered 302, a redirect, which is not followed for the key set: set `jwksUri`'
    ],
    ['101 keys', manyKeys(101), 'a key set of 101 keys; at most 100 are read']
  ])('%s by name', async (_title, arrange, words) => {
    const issuer = await start()
    arrange(issuer)
    expect((await examine({ issuer: issuer.issuer })).out).toContain(words)
  })
})

describe('doctor and a key endpoint that wants credentials', () => {
  const tokenFile = join(folder, 'token')

  async function guarded(): Promise<TestIssuer> {
    const issuer = await start()
    const guard: Behaviour = (exchange) =>
      (exchange.request.headers.authorization === 'Bearer right.token' ? fault.none() : fault.status(401))(exchange)
    issuer.always('jwks', undated(guard))
    return issuer
  }

  test('shows `jwksUri` and `jwksAuth` as they are written, and passes with a token file', async () => {
    const issuer = await guarded()
    const jwksUri = `${issuer.origin}/jwks`
    const { out, code } = await examine({ issuer: issuer.issuer })
    expect(code).toBe(1)
    expect(out).toContain(`For the issuer: jwksUri: "${jwksUri}", jwksAuth: { tokenFile: "/path/of/the/token" }\n`)
    expect(out).toContain(`--jwks-uri ${jwksUri} --jwks-token-file FILE\n`)
    writeFileSync(tokenFile, 'right.token\n')
    const again = await examine({ issuer: issuer.issuer, jwksUri, jwksTokenFile: tokenFile })
    expect(again.code).toBe(0)
    expect(again.out).not.toContain('right.token')
    expect(again.out).toContain(`jwksUri: "${jwksUri}",\n      jwksAuth: { tokenFile: "${tokenFile}" }`)
    const entry: IssuerOptions = { issuer: issuer.issuer, jwksUri, jwksAuth: { tokenFile } }
    expect((await ask(bed.api({ issuers: [entry] }), issuer.token())).status).toBe(200)
  })

  test('says that the token of the file is not accepted, and sends it nowhere but to `jwksUri`', async () => {
    const issuer = await guarded()
    writeFileSync(tokenFile, 'wrong.token')
    const { out, code } = await examine({
      issuer: issuer.issuer,
      jwksUri: `${issuer.origin}/jwks`,
      jwksTokenFile: tokenFile
    })
    expect(code).toBe(1)
    expect(out).toContain('it does not accept the credentials of `jwksAuth`')
    expect(out).not.toContain('needs `jwksUri`')
    expect(out).not.toContain('wrong.token')
    const sent = issuer.requests.filter(({ headers }) => headers.authorization !== undefined)
    expect(sent.map(({ path }) => path)).toEqual(['/jwks'])
  })

  test('says that the file cannot be read, and that a server does not start with a file and no `jwksUri`', async () => {
    const issuer = await guarded()
    const missing = join(folder, 'missing')
    const { out, code } = await examine({
      issuer: issuer.issuer,
      jwksUri: `${issuer.origin}/jwks`,
      jwksTokenFile: missing
    })
    expect(code).toBe(1)
    expect(out).toContain(`\`jwksAuth.tokenFile\` of ${issuer.issuer} could not be read`)
    const refused = await examine({ issuer: issuer.issuer, jwksTokenFile: missing })
    expect(refused.code).toBe(1)
    expect(refused.out).toContain('is set without `jwksUri`')
  })

  test('needs no metadata where the keys are found: 0, as the API works', async () => {
    const issuer = await start()
    issuer.always('metadata', fault.status(403))
    const jwksUri = `${issuer.origin}/jwks`
    const { out, code } = await examine({ issuer: issuer.issuer, jwksUri })
    expect(code).toBe(0)
    expect(out).toContain('· No metadata')
    expect(out).not.toMatch(/[!✗] /)
    const api = resourceServer({ resource: 'https://api.example.com', issuers: [{ issuer: issuer.issuer, jwksUri }] })
    await expect(api.ready()).resolves.toBeUndefined()
    await api.close()
  })
})

describe('a certificate that Node does not accept', () => {
  test.each([
    ['undici, whose error has the code', {}],
    ['fetch, which wraps that error in another', { dispatcher: fetchDispatcher() }]
  ])('is told by its code with NODE_EXTRA_CA_CERTS, as reached with %s', async (_title, http) => {
    const { out, code } = await examine({ issuer: await startTls(bed) }, http)
    expect(out).toContain('could not be reached\n    self-signed certificate\n')
    expect(out).toContain(
      'not accepted (DEPTH_ZERO_SELF_SIGNED_CERT): give Node the private CA: NODE_EXTRA_CA_CERTS=ca.pem'
    )
    expect(code).toBe(2)
  })
})
