/** The command: what `doctor` finds in servers that are well and in servers that are not, and what `explain` says of tokens. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { fetchDispatcher } from '../../adapters/fetch.js'
import { UsageError } from '../../src/cli/command.js'
import { type DoctorOptions, doctor } from '../../src/cli/doctor/doctor.js'
import { type ExplainOptions, explain } from '../../src/cli/explain/explain.js'
import { harmless, json, type Terminal, waiting } from '../../src/cli/terminal.js'
import { resourceServer } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'

const RESOURCE = 'https://api.example.com'
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Written {
  readonly out: string
  readonly err: string
  readonly code: number
}

async function onTerminal(
  run: (terminal: Terminal) => Promise<number>,
  more: Partial<Terminal> = {}
): Promise<Written> {
  const written = { out: '', err: '' }
  const code = await run({
    isTTY: false,
    noColor: false,
    out: (line) => {
      written.out += line
    },
    err: (line) => {
      written.err += line
    },
    input: async () => '',
    readFile: async () => '',
    readPage: async () => '',
    fetch,
    now: () => Date.now() / 1000,
    ...(more.fetch && { http: { dispatcher: fetchDispatcher(more.fetch) } }),
    ...more
  })
  return { ...written, code }
}

const examine = (options: Partial<DoctorOptions> & { issuer: string }, more?: Partial<Terminal>): Promise<Written> =>
  onTerminal((terminal) => doctor({ json: false, ...options }, terminal), more)

const ask = (options: Partial<ExplainOptions> & { token: string }, more?: Partial<Terminal>): Promise<Written> =>
  onTerminal((terminal) => explain({ json: false, ...options }, terminal), more)

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Instead of a network, where the addresses are ones that no test has. */
const fetchOf = (documentOf: (url: string) => object): typeof fetch =>
  (async (url: string) => Response.json(documentOf(url))) as typeof fetch

/** A server whose documents are these, by path. */
async function serve(
  documents: (origin: string) => Record<string, { status?: number; headers?: Record<string, string>; body: unknown }>
): Promise<string> {
  const origin: string = await listen((request, response) => {
    const answer = documents(origin)[request.url ?? ''] ?? { status: 404, body: {} }
    const body = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body)
    response.writeHead(answer.status ?? 200, { 'Content-Type': 'application/json', ...answer.headers }).end(body)
  })
  return origin
}

async function startIssuer(): Promise<TestIssuer> {
  const as = await createTestIssuer()
  await as.listen()
  closing.push(() => as.close())
  return as
}

const AS = '/.well-known/oauth-authorization-server'

describe('doctor', () => {
  test('a server that is well: what it has, a configuration to paste, and 0', async () => {
    const as = await startIssuer()
    const { out, code } = await examine({ issuer: as.issuer })
    expect(out).toContain(`✓ Metadata at ${as.issuer}${AS}\n`)
    expect(out).toContain('1 of 1 usable\n    key-1 (EC ES256 P-256)\n')
    expect(out).toContain(`✓ Introspection at ${as.issuer}/introspect\n`)
    // The test kit answers anybody, which is what the doctor is there to find.
    expect(out).toContain('✗ It refuses callers that do not authenticate\n')
    expect(out).toContain(`issuer: "${as.issuer}"`)
    expect(out).toContain('resourceServer({')
    expect(code).toBe(1)
    const { out: written } = await examine({ issuer: as.issuer, json: true })
    const report = JSON.parse(written)
    expect(report).toMatchObject({ issuer: as.issuer, ok: false })
    expect(report.findings.filter(({ verdict }: { verdict: string }) => verdict === 'failed')).toHaveLength(1)
  })

  test('all that it publishes is said, and that it is well', async () => {
    const as = await createTestIssuer()
    const { keys } = (await serveKeys(as)) as { keys: object[] }
    const issuer = await serve((origin) => ({
      [AS]: {
        body: {
          issuer: origin,
          jwks_uri: `${origin}/jwks`,
          introspection_endpoint: `${origin}/introspect`,
          introspection_endpoint_auth_methods_supported: ['private_key_jwt'],
          dpop_signing_alg_values_supported: ['ES256'],
          tls_client_certificate_bound_access_tokens: true
        }
      },
      '/jwks': { body: { keys }, headers: { 'Cache-Control': 'public, max-age=600' } },
      '/introspect': { status: 401, body: { error: 'invalid_client' } }
    }))
    const { out, code } = await examine({ issuer })
    expect(code).toBe(0)
    expect(out).not.toMatch(/[✗!] /)
    expect(out).toContain('✓ Cache-Control: max-age=600')
    expect(out).toContain('clients authenticate by private_key_jwt')
    expect(out).toContain('· Offers DPoP (RFC 9449)\n    ES256\n')
    expect(out).toContain('· Offers tokens bound to client certificates (RFC 8705)')
    expect(out).toContain('· Does not say that it offers signed introspection answers (RFC 9701)')
    expect(out).toContain('// introspection: {')
  })

  /** The test kit's key set, as it is published. */
  async function serveKeys(as: TestIssuer): Promise<unknown> {
    const issuer = await as.listen()
    closing.push(() => as.close())
    return (await fetch(`${issuer}/jwks`)).json()
  }

  type Documents = Parameters<typeof serve>[0]
  const good = (origin: string): Record<string, unknown> => ({ issuer: origin, jwks_uri: `${origin}/jwks` })
  const nested = `${'['.repeat(50_000)}${']'.repeat(50_000)}`
  const key = {
    kty: 'EC',
    crv: 'P-256',
    x: 'WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis',
    y: 'y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE'
  }

  test.each<readonly [title: string, documents: Documents, finding: string | RegExp]>([
    ['no metadata', () => ({}), '✗ There is metadata that may be used'],
    [
      'metadata of another issuer',
      (o) => ({ [AS]: { body: { ...good(o), issuer: `${o}/` } } }),
      'they must be exactly equal (RFC 8414 §3.3)'
    ],
    ['metadata that are no JSON', () => ({ [AS]: { body: '<html>' } }), 'answered with broken JSON'],
    [
      'metadata behind a redirect',
      (o) => ({ [AS]: { status: 302, headers: { Location: `${o}/x` }, body: '' } }),
      'answered 302, a redirect, which is not followed'
    ],
    [
      'metadata whose issuer is nested too deep to be written',
      () => ({ [AS]: { body: `{"issuer":${nested}}` } }),
      'names no issuer'
    ],
    ['no jwks_uri', (o) => ({ [AS]: { body: { issuer: o } } }), '✗ The metadata have a `jwks_uri`'],
    ['no keys', (o) => ({ [AS]: { body: good(o) }, '/jwks': { status: 500, body: {} } }), 'answered 500'],
    [
      'a key set that is none',
      (o) => ({ [AS]: { body: good(o) }, '/jwks': { body: { key: 1 } } }),
      '`keys` must be an array'
    ],
    [
      'an empty key set',
      (o) => ({ [AS]: { body: good(o) }, '/jwks': { body: { keys: [] } } }),
      ' published no usable key'
    ],
    [
      'members of a key set that are no keys at all',
      (o) => ({
        [AS]: { body: good(o) },
        '/jwks': { body: { keys: [null, 'text', 5, [], { ...key, kid: 'a' }] } }
      }),
      '1 of 5 usable\n    no kid ()\n    no kid ()\n    no kid ()\n    no kid ()\n    a (EC P-256)\n'
    ],
    [
      'a key whose members are no texts',
      (o) => ({
        [AS]: { body: good(o) },
        '/jwks': { body: { keys: [{ kid: 'a', kty: { toString: 1 }, alg: ['x'], crv: null }] } }
      }),
      ' published no usable key (keys[0] has an unsupported combination of kty, crv and alg)'
    ],
    [
      'lists of what is no text',
      (o) => ({
        [AS]: {
          body: {
            ...good(o),
            introspection_endpoint: `${o}/i`,
            introspection_endpoint_auth_methods_supported: [{ toString: 1 }, 'none'],
            dpop_signing_alg_values_supported: [{ toString: 1 }, 'ES256']
          }
        }
      }),
      '✓ Introspection at '
    ],
    [
      'a private key',
      (o) => ({ [AS]: { body: good(o) }, '/jwks': { body: { keys: [{ ...key, kid: 'a', d: 'AAAA' }] } } }),
      ' published no usable key (keys[0] is a private'
    ],
    [
      'one kid twice',
      (o) => ({
        [AS]: { body: good(o) },
        '/jwks': {
          body: {
            keys: [
              { ...key, kid: 'a' },
              { ...key, kid: 'a' }
            ]
          }
        }
      }),
      '! Each key has a `kid` of its own'
    ],
    [
      'keys without kid',
      (o) => ({ [AS]: { body: good(o) }, '/jwks': { body: { keys: [key, { ...key, alg: 'ES256' }] } } }),
      '! Each key has a `kid`\n'
    ],
    [
      'keys that are fresh for a second',
      (o) => ({
        [AS]: { body: good(o) },
        '/jwks': { headers: { 'Cache-Control': 'max-age=1' }, body: { keys: [key] } }
      }),
      '! Cache-Control: max-age=1'
    ],
    [
      'a clock that is behind',
      (o) => ({ [AS]: { headers: { Date: 'Sat, 01 Jan 2022 00:00:00 GMT' }, body: good(o) } }),
      ' s behind.'
    ],
    [
      'introspection that is broken',
      (o) => ({ [AS]: { body: { ...good(o), introspection_endpoint: `${o}/i` } }, '/i': { status: 500, body: {} } }),
      /! It refuses callers that do not authenticate\n {4}\S+ answered 500\n/
    ]
  ])('finds %s', async (_title, documents, finding) => {
    const issuer = await serve(documents)
    const { out, code } = await examine({ issuer })
    expect(out).toMatch(finding)
    expect(code).toBe(out.includes('✗') ? 1 : 0)
  })

  test.each([400, 401, 403])(
    'introspection that answers %i to whoever does not authenticate refuses',
    async (status) => {
      const issuer = await serveIntrospection(status)
      const { out, code } = await examine({ issuer })
      expect(out).toContain(`✓ It refuses callers that do not authenticate (${status})\n`)
      expect(code).toBe(0)
    }
  )

  // There is nobody, or nobody has looked at who asked: it may refuse and it may not.
  test.each([404, 405, 415, 429, 204])('introspection that answers %i says nothing of who may ask', async (status) => {
    const issuer = await serveIntrospection(status)
    const { out, code } = await examine({ issuer })
    expect(out).toMatch(new RegExp(`! It refuses callers that do not authenticate\n {4}(?:\\S+ )?answered ${status}\n`))
    expect(code).toBe(0)
  })

  function serveIntrospection(status: number): Promise<string> {
    return serve((o) => ({
      [AS]: { body: { ...good(o), introspection_endpoint: `${o}/i` } },
      '/jwks': { body: { keys: [{ ...key, kid: 'a' }] } },
      '/i': { status, body: status === 204 ? '' : {} }
    }))
  }

  test.each([
    [
      'jwks_uri',
      'http://as.example.com/asked',
      "a jwks_uri that is not https: set `jwksUri` to one that is, or name its host in `http.insecureHosts`, as 'as.example.com:80' if you trust the network between"
    ],
    ['jwks_uri', 'file:///asked', 'a jwks_uri that is not https: set `jwksUri` to one that is'],
    ['jwks_uri', '/asked', 'no jwks_uri: set `jwksUri`'],
    [
      'introspection_endpoint',
      'http://as.example.com/asked',
      "an introspection_endpoint that is not https: set `introspection.endpoint` to one that is, or name its host in `http.insecureHosts`, as 'as.example.com:80' if you trust the network between"
    ],
    ['introspection_endpoint', 5, 'no introspection_endpoint: set `introspection.endpoint`']
  ])('a %s of %j is refused as the resource server would, and not asked', async (name, value, why) => {
    const issuer = 'http://127.0.0.1'
    const asked: string[] = []
    const { out, code } = await examine(
      { issuer },
      {
        fetch: fetchOf((url) => {
          asked.push(url)
          return url.endsWith('/jwks') ? { keys: [{ ...key, kid: 'a' }] } : { ...good(issuer), [name]: value }
        })
      }
    )
    expect(out).toContain(`✗ The metadata have a \`${name}\` that may be asked\n`)
    expect(out).toContain(`    the metadata of ${issuer} has ${why}\n`)
    expect(asked.filter((url) => url.includes('asked') || url === String(value))).toEqual([])
    expect(code).toBe(1)
  })

  test('plain http of this machine is for issuers of this machine', async () => {
    const issuer = 'https://as.example.com'
    const asked: string[] = []
    const { out } = await examine(
      { issuer },
      {
        fetch: fetchOf((url) => {
          asked.push(new URL(url).origin)
          return { issuer, jwks_uri: 'http://127.0.0.1/jwks', introspection_endpoint: 'http://[::1]/i' }
        })
      }
    )
    expect(out).toContain('✗ The metadata have a `jwks_uri` that may be asked\n')
    expect(out).toContain('✗ The metadata have a `introspection_endpoint` that may be asked\n')
    expect(new Set(asked)).toEqual(new Set([issuer]))
  })

  test('OpenID metadata of an issuer with a path; and plain http elsewhere is refused without asking anything', async () => {
    const origin: string = await serve((o) => ({
      '/tenant/.well-known/openid-configuration': { body: { issuer: `${o}/tenant`, jwks_uri: `${o}/jwks` } },
      '/jwks': { body: { keys: [{ ...key, kid: 'a' }] } }
    }))
    const { out, code } = await examine({ issuer: `${origin}/tenant` })
    expect(out).toContain(`· Metadata at ${origin}${AS}/tenant\n    answered 404`)
    expect(out).toContain(`✓ Metadata at ${origin}/tenant/.well-known/openid-configuration`)
    expect(code).toBe(0)
    const plain = await examine({ issuer: 'http://as.example.com/?a=1' })
    expect(plain.out).toContain('✗ A resource server starts with these options')
    expect(plain.out).toContain('use https; http is accepted for localhost')
    expect(plain.out).toContain('has a query or a fragment')
    expect(plain.code).toBe(1)
  })

  test('who cannot be reached: 2, and what to look at', async () => {
    const { out, code } = await examine({ issuer: 'http://127.0.0.1:9' })
    expect(code).toBe(2)
    expect(out).toContain('could not be reached')
    expect(out).toContain('can this machine reach it?')
    expect(out).not.toContain('To paste')
  })

  test('an API: its metadata, its issuer, its challenge', async () => {
    const as = await startIssuer()
    const resource: string = await listen((request, response) => {
      const { metadata } = api
      if (request.url?.startsWith('/.well-known')) response.end(JSON.stringify(metadata?.document()))
      else response.writeHead(401, { 'WWW-Authenticate': `Bearer resource_metadata="${metadata?.url}"` }).end()
    })
    const api = resourceServer({ resource, issuers: [as.issuer] })
    const good = await examine({ issuer: as.issuer, resource })
    expect(good.out).toContain('✓ It names this issuer')
    expect(good.out).toContain('without a token is 401, and says where to look')
    const other = await startIssuer()
    const wrong = await examine({ issuer: other.issuer, resource })
    expect(wrong.out).toContain('✗ It names this issuer')
    const open = await serve(() => ({ '/': { body: {} } }))
    const bare = await examine({ issuer: as.issuer, resource: open })
    expect(bare.out).toContain('✗ Metadata at')
    expect(bare.out).toContain('If it is protected, it should be 401')
    const silent: string = await serve((o) => ({
      '/': { status: 401, headers: { 'WWW-Authenticate': 'Bearer' }, body: {} },
      '/.well-known/oauth-protected-resource': { body: { resource: `${o}/other` } }
    }))
    const half = await examine({ issuer: as.issuer, resource: silent })
    expect(half.out).toContain('! ')
    expect(half.out).toContain('No `resource_metadata` (RFC 9728 §5.1)')
    expect(half.out).toContain('it must be exactly equal (RFC 9728 §3.3)')
    expect(half.out).toContain('✗ It names this issuer\n    `authorization_servers`: none\n')
    const odd: string = await serve(() => ({
      '/.well-known/oauth-protected-resource': {
        body: `{"resource":${nested},"authorization_servers":["https://other.example",${nested}]}`
      }
    }))
    const unreadable = await examine({ issuer: as.issuer, resource: odd })
    expect(unreadable.out).toContain('not a JSON object of at most 262144 bytes and 64 levels (RFC 9728 §3)')
  })

  test('what a server says obeys no terminal', async () => {
    const issuer = await serve(() => ({ [AS]: { body: { issuer: '\u001b[2Jevil\u202e' } } }))
    const { out } = await examine({ issuer })
    expect(out).toContain('evil')
    expect(out).not.toContain('\u001b')
    expect(harmless('a\u001b[2J\u009b\nb\u202e')).toBe('a�[2J�\nb�')
    const { out: said } = await examine({ issuer, json: true })
    for (const obeyed of ['\u001b', '\u009b', '\u202e']) expect(said).not.toContain(obeyed)
    const odd = { text: 'a\u009b\u202e\u001b\n"' }
    for (const obeyed of ['\u001b', '\u009b', '\u202e']) expect(json(odd)).not.toContain(obeyed)
    expect(JSON.parse(json(odd))).toEqual(odd)
  })

  test('what a server says, or an address, begins no line', async () => {
    const forged = (where: string): string => `\n✓ forged by ${where}`
    const origin = 'https://as.example.com'
    const [address, resource] = [`${origin}/${forged('issuer')}`, `${origin}/${forged('resource')}`]
    const metadata = {
      issuer: origin,
      jwks_uri: `${origin}/jwks`,
      introspection_endpoint: `${origin}/i`,
      introspection_endpoint_auth_methods_supported: ['none', forged('method')],
      dpop_signing_alg_values_supported: ['ES256', forged('algorithm')]
    }
    const answering = (document: object): Partial<Terminal> => ({
      isTTY: true,
      noColor: true,
      fetch: fetchOf((url) =>
        url.endsWith('/jwks')
          ? {
              keys: [
                { ...key, kid: 'good' },
                { ...key, kid: forged('kid'), alg: forged('alg') }
              ]
            }
          : document
      )
    })
    const well = await examine({ issuer: origin }, answering(metadata))
    const broken = await examine({ issuer: origin }, answering({ ...metadata, jwks_uri: 'none' }))
    const odd = await examine({ issuer: address, resource }, answering(metadata))
    for (const { out, err } of [well, broken, odd]) {
      expect(out.match(/^\s*✓ forged.*/gm)).toBeNull()
      expect(err.match(/^\s*✓ forged.*/gm)).toBeNull()
    }
    for (const where of ['method', 'algorithm', 'kid', 'alg']) expect(well.out).toContain(`�✓ forged by ${where}`)
    for (const where of ['issuer', 'resource']) expect(odd.out).toContain(`�✓ forged by ${where}`)
    expect(odd.err).toContain('�✓ forged by resource …')
    expect(broken.out).toContain('has no jwks_uri')
  })

  test('what a server says gives no orders to those who run jobs and read their logs', async () => {
    const kids = [
      '::error::a',
      '   ::set-output name=b::b',
      '##[group]c',
      'd ##vso[task.complete result=Failed]d',
      'e::e'
    ]
    const issuer: string = await serve((o) => ({
      [AS]: { body: { ...good(o), dpop_signing_alg_values_supported: ['  ::stop-commands::f'] } },
      '/jwks': { body: { keys: kids.map((kid) => ({ ...key, kid })) } }
    }))
    const { out } = await examine({ issuer })
    expect(out).toContain('\n    �error::a (EC P-256)\n')
    expect(out).toContain('\n    �set-output name=b::b (EC P-256)\n')
    expect(out).toContain('\n    �stop-commands::f\n')
    // What only looks a little so is as it was.
    expect(out).toContain('\n    e::e (EC P-256)\n')
    expect(out).not.toMatch(/^\s*::/m)
    // These are obeyed anywhere in a line.
    for (const text of [out, (await examine({ issuer, json: true })).out]) {
      expect(text).not.toMatch(/##\w*\[/)
      expect(text).toContain('#vso[task.complete')
    }
    expect(JSON.parse(json({ text: '##[a] ##vso[b] ## [c] #[d] ###[e]' }))).toEqual({
      text: '##[a] ##vso[b] ## [c] #[d] ###[e]'
    })
    expect(harmless('##[a] ##vso[b] ## [c] #[d] ###[e]')).toBe('�#[a] �#vso[b] ## [c] #[d] #�#[e]')
  })

  test('the configuration to paste is harmless, and the same text to who reads it', async () => {
    const issuer = 'https://as.example.com/\u202e\u009b'
    const resource = 'https://api.example.com/\u202e'
    const { out } = await examine({ issuer, resource, json: true }, { fetch: fetchOf(() => ({})) })
    const { configuration } = JSON.parse(out) as { configuration: string }
    expect(configuration).toContain(String.raw`issuer: "https://as.example.com/\u202e\u009b"`)
    expect(configuration).toContain(String.raw`resource: "https://api.example.com/\u202e"`)
    for (const obeyed of ['\u009b', '\u202e']) expect(out).not.toContain(obeyed)
  })

  test('a document without end is not read to its end', async () => {
    const issuer = await listen((_request, response) => {
      response.on('error', () => undefined)
      const more = (): void => {
        while (!response.destroyed && response.write(' '.repeat(65_536)));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    })
    const { out, code } = await examine({ issuer })
    expect(out).toContain('sent a body of more than 262144 bytes')
    expect(code).toBe(1)
  })
})

describe('explain', () => {
  async function offline(as: TestIssuer): Promise<Partial<Terminal>> {
    const issuer = await as.listen()
    const keys = await (await fetch(`${issuer}/jwks`)).text()
    await as.close()
    // Nobody is there any more.
    return { readFile: async () => keys }
  }

  test('a good token, with the keys of a file and nobody to ask', async () => {
    const as = await createTestIssuer()
    const terminal = await offline(as)
    const token = as.token({ scope: 'orders:read' })
    const { out, code } = await ask({ token, jwks: 'keys.json', scope: 'orders:read' }, terminal)
    expect(code).toBe(0)
    expect(out.match(/^✓/gm)).toHaveLength(13)
    expect(out).toContain('The request goes on to its handler.')
    expect(out).toContain('Taken from the token itself: ')
    expect(out).not.toContain(token.split('.')[2])
    const compared = await ask({ token, jwks: 'keys.json', issuer: as.issuer, resource: RESOURCE }, terminal)
    expect(compared.out).not.toContain('Taken from the token itself: ')
  })

  test.each([
    ['expired', 'It is valid at this time', 'expired', 401, 'clockTolerance'],
    ['notYetValid', 'It is valid at this time', 'not_yet_valid', 401, 'clockTolerance'],
    ['wrongType', 'It is an access token', 'type', 401, 'tokenProfile: "legacy"'],
    ['unsigned', 'The API allows its algorithm', 'algorithm', 401, 'algorithms'],
    ['tampered', 'Its signature', 'signature', 401, 'No option, on purpose.'],
    ['unknownKey', 'The issuer publishes its key', 'unknown_key', 401, 'No option. Check'],
    ['wrongAudience', 'It is for this API', 'audience', 401, '`audience: [...]`'],
    ['wrongIssuer', 'The API trusts its issuer', 'issuer', 401, 'acceptedIssuers']
  ] as const)(
    '%s(): the check that failed, why, what would admit it, the answer',
    async (flaw, name, reason, status, remedy) => {
      const as = await createTestIssuer()
      const terminal = await offline(as)
      const token = as[flaw]()
      const options = { token, jwks: 'keys.json', issuer: as.issuer, resource: RESOURCE }
      const { out, code } = await ask(options, terminal)
      expect(code).toBe(1)
      expect(out).toMatch(new RegExp(`^✗ ${name}`, 'm'))
      expect(out.match(/^✗/gm)).toHaveLength(1)
      expect(out).toContain(`Why  ${reason}\n`)
      expect(out).toContain(remedy)
      expect(out).toContain(`HTTP/1.1 ${status}`)
      expect(out).toContain('www-authenticate: Bearer error="invalid_token"')
      const [, , signature] = token.split('.')
      if (signature) expect(out).not.toContain(signature)
      const { out: written } = await ask({ ...options, json: true }, terminal)
      expect(JSON.parse(written)).toMatchObject({
        verdict: 'refused',
        reason,
        documentation: expect.stringMatching(`/reasons/${reason}$`),
        answer: { status }
      })
      if (signature) expect(written).not.toContain(signature)
    }
  )

  test('scopes, an audience by another name, a legacy token, a bound one', async () => {
    const as = await createTestIssuer()
    const terminal = await offline(as)
    const options = { jwks: 'keys.json', resource: RESOURCE, issuer: as.issuer }
    const lacking = await ask({ ...options, token: as.token({ scope: 'a' }), scope: 'a b' }, terminal)
    expect(lacking.out).toContain('HTTP/1.1 403')
    expect(lacking.out).toContain('scope="a b"')
    expect((await ask({ ...options, token: as.token({ aud: 'orders' }), audience: 'orders' }, terminal)).code).toBe(0)
    expect((await ask({ ...options, token: as.wrongType(), tokenProfile: 'legacy' }, terminal)).code).toBe(0)
    const [, bound = ''] = as.dpop({ url: RESOURCE }).authorization.split(' ')
    const stolen = await ask({ ...options, token: bound }, terminal)
    expect(stolen.out).toContain('Why  dpop_downgrade')
    expect(stolen.out).toContain('No option: the token is bound to a key of its client')
  })

  test('over the network, and where that fails: nobody can know', async () => {
    const as = await startIssuer()
    const token = as.token()
    expect((await ask({ token })).code).toBe(0)
    await as.close()
    const { out, code } = await ask({ token })
    expect(code).toBe(2)
    expect(out).toContain('Why  metadata_unavailable')
    expect(out).toContain('the token is not the cause')
    expect(out).toContain('HTTP/1.1 503')
  })

  test('an opaque token says nothing, so the options must; and says nothing to a terminal', async () => {
    await expect(ask({ token: 'opaque' })).rejects.toThrow('--issuer')
    await expect(ask({ token: 'opaque', issuer: 'https://as.test' })).rejects.toThrow('--resource')
    const as = await createTestIssuer()
    const terminal = await offline(as)
    const options = { token: 'opaque', issuer: 'https://as.test', resource: RESOURCE, jwks: 'keys.json' }
    const { out, code } = await ask(options, terminal)
    expect(code).toBe(1)
    expect(out).toContain('It is opaque: only the authorization server can tell what it is for.')
    expect(out).toContain('If this authorization server issues opaque tokens, set `introspection`')
    await expect(ask(options, { readFile: async () => '[]' })).rejects.toThrow(/^--jwks: the file is not a key set/)
    const evil = as.token({ sub: '\u001b[2J', iss: 'https://as.test/\u202e', jti: 'a\n✓ forged', txn: '##[group]' })
    const said = await ask({ ...options, token: evil }, terminal)
    expect(said.out).not.toContain('\u001b')
    expect(said.out).not.toContain('\u202e')
    expect(said.out).not.toMatch(/^\s*✓ forged/m)
    expect(said.out).not.toContain('##[')
  })

  test('what an authorization server says is told, and obeyed by nobody', async () => {
    const issuer = await listen((_request, response) => {
      response.writeHead(200, { 'Content-Type': '\u009b##vso[task.complete]' }).end('{}')
    })
    const as = await createTestIssuer()
    const { out, code } = await ask({ token: as.token({ iss: issuer }), resource: RESOURCE })
    expect(code).toBe(2)
    expect(out).toContain('answered with ��#vso[task.complete]')
  })

  test('a file of keys that cannot be read is no fault of ours', async () => {
    const options = { token: 'opaque', issuer: 'https://as.test', resource: RESOURCE, jwks: 'eyJ' }
    const cause = Object.assign(new Error("EACCES: permission denied, open 'eyJ'"), { code: 'EACCES' })
    const refused = ask(options, { readFile: () => Promise.reject(cause) })
    await expect(refused).rejects.toThrow(new UsageError('--jwks: you may not read this file (EACCES).'))
  })
})

describe('the terminal', () => {
  test('colours where somebody looks, and not where they are not wanted', async () => {
    const as = await createTestIssuer()
    const issuer = await as.listen()
    closing.push(() => as.close())
    const looked = await examine({ issuer }, { isTTY: true })
    expect(looked.out).not.toBe(stripVTControlCharacters(looked.out))
    expect(looked.err).toContain(`asking ${issuer}`)
    const plain = await examine({ issuer }, { isTTY: true, noColor: true })
    expect(plain.out).toBe(stripVTControlCharacters(plain.out))
    const piped = await examine({ issuer })
    expect(piped.err).toBe('')
  })

  test('what is waited for is wiped out when it fails, too', async () => {
    const { err } = await onTerminal(
      (terminal) => waiting(terminal, 'waiting', Promise.reject(new Error('no'))).catch(() => 1),
      { isTTY: true }
    )
    expect(err).toBe('waiting …\r\u001b[K')
  })
})

describe('the command', () => {
  const PAGE = fileURLToPath(new URL('../../docs/troubleshooting.md', import.meta.url))
  const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

  async function run(args: readonly string[], input = ''): Promise<Written> {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'pipe' })
    const exited = once(child, 'close')
    child.stdin.on('error', () => undefined).end(input)
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
    const [code] = (await exited) as [number]
    return { out, err, code }
  }

  test('reads a token from standard input, and warns about one in the arguments', async () => {
    const as = await createTestIssuer()
    const issuer = await as.listen()
    const keys = join(tmpdir(), `keys-${process.pid}.json`)
    await writeFile(keys, await (await fetch(`${issuer}/jwks`)).text())
    await as.close()
    const piped = await run(['explain', '-', '--jwks', keys, '--json'], `Authorization: Bearer ${as.expired()}\n`)
    expect({ err: piped.err, code: piped.code }).toEqual({ err: '', code: 1 })
    // Without quotes, the shell makes several arguments of it.
    expect(await run(['explain', 'Authorization:', 'Bearer', as.token(), '--jwks', keys])).toMatchObject({
      code: 0,
      err: expect.stringMatching(/^Warning: a token in the arguments stays in the history of your shell/)
    })
    expect(await run(['explain', '-', 'more', '--jwks', keys], as.token())).toMatchObject({ code: 2, out: '' })
    expect(await run(['doctor', as.issuer])).toMatchObject({ code: 2 })
  })

  test.each([
    [[], 'Usage:'],
    [['cure'], 'There is no such command. Use conformance, doctor, explain, or issuer.'],
    [['explane'], 'There is no such command. Did you mean explain?'],
    [['doctor'], 'doctor needs the URL of an issuer: doctor https://as.example.com'],
    [['doctor', 'as.example.com'], 'doctor needs the URL of an issuer: doctor https://as.example.com'],
    [['doctor', 'https://a.example', 'b'], 'doctor takes one URL, and got more than one argument.'],
    [['explain', 'a', '--resource', 'api'], '--resource needs a URL that begins with https://'],
    [['explain', 'a', '--token-profile', 'strict'], '--token-profile is rfc9068 (the default) or legacy.'],
    [['explain', 'a', '--jwks-uri', 'keys'], '--jwks-uri needs a URL that begins with https://'],
    [['doctor', 'https://a.example', '--metadata-url', 'x'], '--metadata-url needs a URL that begins with https://'],
    [['doctor', 'https://a.example', '--jwks-token-file', 'x'], '--jwks-token-file needs --jwks-uri'],
    [['explain', 'a', '--jwks', 'x', '--jwks-uri', 'https://a.example'], 'not both.'],
    [['explain'], 'There is no token: the input is empty.'],
    [['explain', 'a b'], 'The input has more than one word.'],
    [['explain', 'a', 'b'], 'The input has more than one word.'],
    [['explain', 'a', '--jwks', '/nowhere', '--issuer', 'https://a.example', '--resource', RESOURCE], 'ENOENT'],
    [['explain', 'a', '--jwks', tmpdir(), '--issuer', 'https://a.example', '--resource', RESOURCE], 'EISDIR'],
    [['--nonsense'], 'There is no such command. Use conformance, doctor, explain, or issuer.'],
    [['explain', '--nonsense'], 'explain has no such option.'],
    [['explain', '--isuer', 'x'], 'explain has no such option. Did you mean --issuer?'],
    [['explain', '--json=yes'], '--json takes no value: write --json alone.'],
    [['explain', 'a', '--config', tmpdir()], '--config: this is a directory, and a module is needed'],
    [['explain', 'a', '--config', '/nowhere/api.mjs'], '--config: there is no such module.'],
    [['explain', 'a', '--config', PAGE], '--config: Node cannot load this kind of file.'],
    [
      ['explain', 'a', '--config', 'x', '--issuer', 'https://a.example'],
      '--config has all settings of the API: leave --issuer out.'
    ],
    [['explain', 'a', '--with', 'a=b'], '--with is a parameter of a profile: add --profile NAME.'],
    [['explain', 'a', '--decrypt', '/nowhere', '--issuer', 'https://a.example'], '--decrypt is for an encrypted token'],
    [['explain', '--reason', 'audiance'], '--reason: there is no such reason. Near: audience.'],
    [
      ['explain', 'a', '--audience', '', '--issuer', 'https://a.example', '--resource', RESOURCE],
      'found a problem in its options'
    ],
    [['doctor', 'https://a.example', '--ca', '/nowhere'], '--ca: there is no such file (ENOENT).'],
    [['explain', '--issuer'], '--issuer needs a value: write --issuer VALUE']
  ])('%j is said to be wrong: 2', async (args, words) => {
    const { out, err, code } = await run(args)
    expect({ out, code }).toEqual({ out: '', code: 2 })
    expect(err).toContain(words)
    expect(err).toContain(args.length === 0 ? '--help' : 'Try --help.')
    expect(err).not.toContain('\n    at ')
  })

  const SECRET = '--eyJhbGciOi-c2VjcmV0'

  test.each([
    [[SECRET.slice(2)]],
    [['--', SECRET]],
    [['doctor', SECRET.slice(2)]],
    [['doctor', 'https://a.example', SECRET.slice(2)]],
    [['explain', SECRET]],
    [['explain', 'Bearer', 'token', SECRET.slice(2)]],
    [['explain', 'token', '--issuer', SECRET.slice(2)]],
    [['explain', 'token', '--resource', SECRET.slice(2)]],
    [['explain', 'token', '--token-profile', SECRET.slice(2)]],
    [['explain', SECRET.slice(2)]],
    [['explain', '--issuer', SECRET]],
    [['explain', `--json=${SECRET}`]],
    [['explain', 'a', '--issuer', 'https://a.example', '--resource', RESOURCE, '--jwks', SECRET.slice(2)]],
    [['explain', 'a', '--config', SECRET.slice(2)]],
    [['explain', 'a', '--profile', SECRET.slice(2), '--issuer', 'https://a.example', '--resource', RESOURCE]],
    [['explain', '--reason', SECRET.slice(2)]],
    [['doctor', 'https://a.example', '--ca', SECRET.slice(2)]]
  ])('what was wrong in %j is not repeated: it may be a token', async (args) => {
    const { out, err, code } = await run(args)
    expect({ out, code }).toEqual({ out: '', code: 2 })
    expect(err).toContain('Try --help.')
    expect(err).not.toContain(SECRET.slice(2))
  })

  test('prints an issuer that is not a URL without what a terminal or a log obeys, and exits 1', async () => {
    const as = await createTestIssuer()
    const token = as.token({ iss: 'https://as.example/\u009b2J\u202e##vso[task.complete]\n' })
    const { out, err, code } = await run(['explain'], token)
    expect({ err, code }).toEqual({ err: '', code: 1 })
    expect(out).toContain(String.raw`"https://as.example/�2J��#vso[task.complete]\n"`)
  })

  test('doctor and explain read the keys of --jwks-uri with the token of --jwks-token-file', async () => {
    const as = await createTestIssuer()
    const issuer = await as.listen()
    closing.push(() => as.close())
    const keys = await (await fetch(`${issuer}/jwks`)).text()
    const file = join(tmpdir(), `token-${process.pid}`)
    await writeFile(file, 'right.token\n')
    const endpoint = await listen((request, response) => {
      const isRight = request.headers.authorization === 'Bearer right.token'
      response.writeHead(isRight ? 200 : 401).end(isRight ? keys : '')
    })
    const options = ['--jwks-uri', `${endpoint}/keys`, '--jwks-token-file', file]
    expect(await run(['explain', ...options], as.token())).toMatchObject({ code: 0, err: '' })
    expect(await run(['explain', ...options.slice(0, 2)], as.token())).toMatchObject({ code: 2, err: '' })
    expect((await run(['doctor', issuer, ...options])).out).toContain(`✓ Keys at ${endpoint}/keys: 1 of 1 usable`)
  })

  test('prints the help for a reason, offline, from the page in the package', async () => {
    const { out, err, code } = await run(['explain', '--reason', 'audience'])
    expect({ err, code }).toEqual({ err: '', code: 0 })
    expect(out).toMatch(/^audience\n\n- On the wire: 401/)
  })

  test('--help says how it is used', async () => {
    expect(await run(['explain', '--help'])).toMatchObject({ code: 0, out: expect.stringContaining('Exit code:') })
    const { out, code } = await run(['--help'])
    expect(code).toBe(0)
    expect(out).toMatch(/^Usage:\n {2}oauth-resource-server COMMAND/)
  })
})
