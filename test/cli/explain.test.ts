/** What `explain` advises: nothing that is given already, nothing that could not help, and the way to what would. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fetchDispatcher } from '../../adapters/fetch.js'
import { causeOf, certificateRemedy } from '../../src/cli/causes.js'
import { type ExplainOptions, explain } from '../../src/cli/explain/explain.js'
import type { HttpOptions } from '../../src/index.js'
import { createCertificateAuthority } from '../support/certificates.js'
import { createBed, RESOURCE } from '../support/exchange.js'
import { type Behaviour, createSigningKey, fault, type TestIssuer } from '../support/issuer.js'
import { encryptJwe } from '../support/jwe.js'
import { startTls } from '../support/tls.js'

const bed = createBed()
const folder = mkdtempSync(join(tmpdir(), 'explain-'))
const tokenFile = join(folder, 'token')
afterAll(() => rmSync(folder, { recursive: true }))
beforeAll(() => import('undici'))

interface Explained {
  readonly out: string
  readonly code: number
  readonly report: Readonly<Record<string, unknown>>
}

/** As text and as JSON: the same verdict both times. */
async function ask(
  options: Partial<ExplainOptions> & { readonly token: string },
  { keys, http }: { readonly keys?: object; readonly http?: HttpOptions } = {}
): Promise<Explained> {
  const run = async (json: boolean): Promise<{ readonly out: string; readonly code: number }> => {
    let out = ''
    const code = await explain(
      { json, ...options, ...(keys && { jwks: 'keys.json' }) },
      {
        isTTY: false,
        noColor: true,
        out: (text) => {
          out += text
        },
        err: () => undefined,
        input: async () => '',
        readFile: async () => JSON.stringify(keys),
        readPage: async () => '',
        fetch,
        now: bed.clock.now,
        http
      }
    )
    return { out, code }
  }
  const { out, code } = await run(false)
  const written = await run(true)
  expect(written.code).toBe(code)
  return { out, code, report: JSON.parse(written.out) }
}

describe('an encrypted token', () => {
  const recipient = { publicKey: generateKeyPairSync('x25519').publicKey, kid: 'a' }

  test.each([[undefined], ['legacy']] as const)(
    'is called encrypted, and no check or advice speaks of introspection or legacy (tokenProfile %s)',
    async (tokenProfile) => {
      const issuer = await bed.issuer()
      const token = encryptJwe(issuer.token(), recipient)
      const options = { token, issuer: issuer.issuer, resource: RESOURCE, tokenProfile }
      const { out, code, report } = await ask(options, { keys: issuer.jwks })
      expect(code).toBe(1)
      expect(report).toMatchObject({ encrypted: true, verdict: 'refused', reason: 'type' })
      expect(out).toContain('It is encrypted: only the API that has the key can read it. Give the key with --decrypt.')
      expect(out).toContain('✗ It is encrypted to a key of this API')
      expect(out).toContain(
        'Let the client ask for an audience, so that it gets a signed token. Or set `decryptionKeys`'
      )
      expect(out).not.toMatch(/opaque|is active|legacy/)
    }
  )
})

describe('an `iss` that no issuer can have', () => {
  test.each([
    'acme.com',
    'http://keycloak.example/realms/main',
    'urn:example:as',
    '',
    'https://as.example.com/?tenant=1',
    'https://as.example.com/a b',
    'https://as.example.com/../admin'
  ])('%j is refused with the way to accept it, and is not an error of usage', async (iss) => {
    const issuer = await bed.issuer()
    const { out, code, report } = await ask({ token: issuer.token({ claims: { iss } }) }, { keys: issuer.jwks })
    expect(code).toBe(1)
    expect(report).toMatchObject({ verdict: 'refused', reason: 'issuer', received: iss, assumed: ['API (--resource)'] })
    expect(report['remedy']).toContain('`acceptedIssuers` with the value that came, and `jwksUri`')
    expect(out).toContain('which trusts any issuer that can be configured\n')
  })
})

describe('a token without `aud`', () => {
  test.each([{}, { audience: 'orders' }])('leads to `audienceClaim`, with %j given', async (given) => {
    const issuer = await bed.issuer()
    const token = issuer.token({ claims: { aud: undefined } })
    const { report } = await ask({ token, resource: RESOURCE, ...given }, { keys: issuer.jwks })
    expect(report).toMatchObject({ reason: 'audience' })
    expect(report['hint']).toContain('set `audienceClaim` to the claim used instead')
    expect(report['remedy']).toMatch(/^`audienceClaim`/)
  })

  test('that names no API asks for --resource, also where `aud` is an address that no API can have', async () => {
    const issuer = await bed.issuer()
    for (const aud of [undefined, 'orders', ['a', 'b'], `${RESOURCE}/#part`, 'http://api.example.com'])
      await expect(ask({ token: issuer.token({ claims: { aud } }) }, { keys: issuer.jwks })).rejects.toThrow(
        'add --resource https://api.example.com'
      )
  })
})

describe('the remedy names no option that is given already', () => {
  const remedyOf = async (
    given: Partial<ExplainOptions>,
    token: (issuer: TestIssuer) => string
  ): Promise<readonly [reason: unknown, remedy: unknown]> => {
    const issuer = await bed.issuer()
    const options = { token: token(issuer), resource: RESOURCE, issuer: issuer.issuer, ...given }
    const { report } = await ask(options, { keys: issuer.jwks })
    return [report['reason'], report['remedy']]
  }
  /** A token that `typ` does not name, without scope and client: it could be an ID token. */
  const unnamed = (issuer: TestIssuer): string =>
    issuer.token({ header: { typ: 'JWT' }, claims: { scope: undefined, client_id: undefined } })
  const forOthers = (issuer: TestIssuer): string => issuer.token({ claims: { aud: ['orders', RESOURCE] } })
  const withoutSubject = (issuer: TestIssuer): string => issuer.token({ claims: { sub: undefined } })

  test('type: `tokenProfile`, unless it is given or `typ` says that the token is of another kind', async () => {
    expect(await remedyOf({}, unnamed)).toEqual(['type', expect.stringMatching(/^`tokenProfile: "legacy"`/)])
    const [reason, remedy] = await remedyOf({ tokenProfile: 'legacy' }, unnamed)
    expect(reason).toBe('type')
    expect(remedy).toMatch(/^Let the client send the access token.*`requiredClaimValues`/)
    expect(remedy).not.toContain('legacy')
    expect(await remedyOf({}, (issuer) => issuer.token({ header: { typ: 'logout+jwt' } }))).toEqual([
      'type',
      expect.stringMatching(/^No option: its `typ` says that it is a token of another kind/)
    ])
  })

  test('audience: another one in place of the one given; none where the token has the URL of the API', async () => {
    const elsewhere = (issuer: TestIssuer): string => issuer.token({ claims: { aud: 'reports' } })
    expect(await remedyOf({}, elsewhere)).toEqual(['audience', expect.stringMatching(/^`audience: \[\.\.\.\]`/)])
    expect(await remedyOf({ audience: 'stock' }, elsewhere)).toEqual([
      'audience',
      expect.stringMatching(/instead of the given one or beside it/)
    ])
    expect(await remedyOf({ audience: 'stock' }, forOthers)).toEqual([
      'audience',
      'Leave `audience` out: the token names the API by its URL, which is the default.'
    ])
  })

  test('claim: `legacy`, unless it is given', async () => {
    expect(await remedyOf({}, withoutSubject)).toEqual(['claim', expect.stringContaining('`tokenProfile: "legacy"`')])
    const malformed = (issuer: TestIssuer): string => issuer.token({ header: { typ: 'JWT' }, claims: { exp: 'soon' } })
    expect(await remedyOf({ tokenProfile: 'legacy' }, malformed)).toEqual([
      'claim',
      expect.stringMatching(/^No option: `legacy` is given/)
    ])
  })

  test('unknown_key: the file of --jwks where there is one', async () => {
    const stranger = createSigningKey('ES256', { kid: 'stranger' })
    expect(await remedyOf({}, (issuer) => issuer.token({ key: stranger }))).toEqual([
      'unknown_key',
      'No option. Check that the file of --jwks is the key set that the issuer publishes today.'
    ])
    const issuer = await bed.issuer()
    const { report } = await ask({ token: issuer.token({ key: stranger }) })
    expect(report).toMatchObject({
      reason: 'unknown_key',
      remedy: expect.stringContaining('the key set is the issuer’s')
    })
  })
})

describe('an ID token', () => {
  test.each([
    ['a hash of the access token', { at_hash: 'a' }],
    ['`token_use: id`', { token_use: 'id' }],
    ['`typ: ID`', { typ: 'ID' }],
    ['a nonce, without client and scope', { nonce: 'n', client_id: undefined, scope: undefined }],
    ['`azp` equal to `aud`', { aud: 'app', azp: 'app', client_id: undefined, scope: undefined }]
  ])('is answered first, by %s', async (_title, claims) => {
    const issuer = await bed.issuer()
    const token = issuer.token({ header: { typ: 'JWT' }, claims })
    const { out, code, report } = await ask({ token, resource: RESOURCE }, { keys: issuer.jwks })
    expect(code).toBe(1)
    expect(out).toMatch(/^This is an ID token: let the client send the access token\.\n/)
    expect(report).toMatchObject({
      idToken: true,
      remedy: 'No option: let the client send the access token, which came together with this ID token.'
    })
  })

  test.each([
    ['an access token with a nonce and scopes', { header: { typ: 'JWT' }, claims: { nonce: 'n', scope: 'a' } }],
    ['a refused at+jwt with a hash', { claims: { at_hash: 'a', aud: 'other' } }],
    ['an expired access token', { claims: { exp: 1 } }]
  ])('is not what %s is called', async (_title, parts) => {
    const issuer = await bed.issuer()
    const { out, report } = await ask({ token: issuer.token(parts), resource: RESOURCE }, { keys: issuer.jwks })
    expect(report).toMatchObject({ verdict: 'refused', idToken: false })
    expect(out).not.toContain('This is an ID token')
  })
})

describe('times', () => {
  test('are words in text and numbers in JSON', async () => {
    const issuer = await bed.issuer()
    const now = Math.floor(bed.clock.now())
    const token = issuer.token({ claims: { iat: now - 7200, exp: now - 3599 } })
    const { out, report } = await ask({ token }, { keys: issuer.jwks })
    expect(out).toContain('Issued 2 hours ago, expired 59 minutes ago.\n')
    expect(out).toContain('Why  expired\nExpired 59 minutes ago.\n')
    expect(report).toMatchObject({ received: now - 3599 })
    expect(JSON.stringify(report)).not.toContain('minutes')
    const early = issuer.token({ claims: { iat: now + 295, exp: now + 7200 } })
    const { out: said } = await ask({ token: early }, { keys: issuer.jwks })
    expect(said).toContain('Why  not_yet_valid\nIssued 4 min 55 s in this machine’s future.\n')
  })
})

describe('--decrypt FILE', () => {
  const recipient = generateKeyPairSync('x25519')
  const pem = recipient.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()

  /** Runs with the private key in the one file that is read. */
  async function decrypt(token: string, content: string, issuer?: string): Promise<{ out: string; code: number }> {
    let out = ''
    const code = await explain(
      { json: false, token, issuer, decrypt: 'key.pem' },
      {
        isTTY: false,
        noColor: true,
        out: (text) => {
          out += text
        },
        err: () => undefined,
        input: async () => '',
        readFile: async () => content,
        readPage: async () => '',
        fetch,
        now: bed.clock.now
      }
    )
    return { out, code }
  }

  test('shows and judges the token inside, with a key in PEM or as a JWK', async () => {
    const issuer = await bed.issuer()
    const token = encryptJwe(issuer.token(), { publicKey: recipient.publicKey, kid: 'a' })
    for (const content of [pem, JSON.stringify(recipient.privateKey.export({ format: 'jwk' }))]) {
      const { out, code } = await decrypt(token, content)
      expect(code).toBe(0)
      expect(out).toContain(`"iss": "${issuer.issuer}"`)
    }
  })

  test('says that another key does not decrypt it', async () => {
    const issuer = await bed.issuer()
    const token = encryptJwe(issuer.token(), { publicKey: recipient.publicKey, kid: 'a' })
    const other = generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    await expect(decrypt(token, other)).rejects.toThrow('The token names no issuer (`iss`)')
    await expect(decrypt(issuer.token(), pem)).rejects.toThrow('--decrypt is for an encrypted token')
  })

  test.each([
    ['no key', '--decrypt: the file has no private key that can be read'],
    ['{"kty":"OKP","crv":"X25519","x":"AA"}', '--decrypt: the file has no private key: a JWK with the member `d`'],
    ['-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA\n', '--decrypt: the key has a passphrase.']
  ])('refuses a file with %j', async (content, words) => {
    await expect(decrypt('e30.a.b.c.d', content)).rejects.toThrow(words)
  })
})

describe('a pasted request with a DPoP proof', () => {
  test('is judged with its proof, method and URL', async () => {
    const issuer = await bed.issuer()
    const bound = issuer.token({ claims: { cnf: { jkt: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' } } })
    const request = { token: bound, scheme: 'DPoP', method: 'POST', target: '/orders' } as const
    const without = await ask(request, { keys: issuer.jwks })
    expect(without.report).toMatchObject({ reason: 'proof_missing' })
    const broken = await ask({ ...request, proof: 'a.b.c' }, { keys: issuer.jwks })
    expect(broken.report).toMatchObject({ reason: 'proof_malformed' })
    expect(broken.out).toContain('✗ It comes with one well-formed proof')
  })
})

describe('an opaque token', () => {
  test('leads to `introspection` with the authentication that the metadata offer', async () => {
    const issuer = await bed.issuer()
    issuer.metadata['introspection_endpoint_auth_methods_supported'] = ['client_secret_post']
    const { report } = await ask({ token: 'opaque', issuer: issuer.issuer, resource: RESOURCE })
    expect(report['remedy']).toContain(
      "introspection: { clientId: 'api', auth: clientSecretPost(process.env.CLIENT_SECRET) }"
    )
    const offline = await ask({ token: 'opaque', issuer: issuer.issuer, resource: RESOURCE }, { keys: issuer.jwks })
    expect(offline.report['remedy']).not.toContain('clientSecretPost')
  })
})

describe('--profile', () => {
  test('judges as an API with the profile, and is suggested for an issuer that is recognised', async () => {
    const issuer = await bed.issuer()
    const iss = 'https://tenant.eu.auth0.com/'
    const claims = { iss, aud: [RESOURCE, `${iss}userinfo`], azp: 'app', client_id: undefined }
    const token = issuer.token({ header: { typ: 'JWT' }, claims: { ...claims, scope: 'openid orders:read' } })
    const plain = await ask({ token, resource: RESOURCE }, { keys: issuer.jwks })
    expect(plain.report).toMatchObject({
      reason: 'type',
      remedy: expect.stringMatching(/^The profile `auth0` .* looks like Auth0\. Try it here: --profile auth0$/)
    })
    const judged = await ask({ token, resource: RESOURCE, profile: 'auth0' }, { keys: issuer.jwks })
    expect(judged.report).toMatchObject({ verdict: 'let in', issuer: iss })
  })
})

describe('--config FILE', () => {
  const write = (name: string, code: string): string => {
    const path = join(folder, name)
    writeFileSync(path, code)
    return path
  }
  const here = (path: string): string => JSON.stringify(new URL(`../../${path}`, import.meta.url).href)

  test('judges with the API or the options that a module exports, and shows its settings', async () => {
    const issuer = await bed.issuer()
    const jwks = JSON.stringify(issuer.jwks)
    const options = `{ resource: 'https://orders.example.com', issuers: [{ issuer: '${issuer.issuer}', jwks: ${jwks} }], now: () => ${bed.clock.now()} }`
    const modules = [
      write('options.mjs', `export const options = ${options}`),
      // Another copy of the package than the one under test, as in a project of its own.
      write(
        'api.mjs',
        `import { resourceServer } from ${here('dist/src/index.js')}\nexport default resourceServer(${options})`
      )
    ]
    for (const config of modules) {
      const good = await ask({ token: issuer.token({ claims: { aud: 'https://orders.example.com' } }), config })
      expect(good.report).toMatchObject({ verdict: 'let in', resource: 'https://orders.example.com' })
      expect(good.report['settings']).toMatchObject({ issuers: [{ issuer: issuer.issuer, tokenProfile: 'rfc9068' }] })
      const bad = await ask({ token: issuer.token(), config })
      expect(bad.report).toMatchObject({ verdict: 'refused', reason: 'audience', issuer: issuer.issuer })
      expect(bad.out).toContain('Settings {\n')
    }
  })

  test.each([
    ['nothing.mjs', 'export const a = 1', '--config: the module exports neither a resource server nor its options.'],
    ['throws.mjs', "throw new Error('no database')", '--config: the module failed while it was loaded: no database'],
    ['broken.mjs', 'export const = 1', '--config: the module failed while it was loaded: '],
    ['wrong.mjs', 'export const options = { resource: 5, issuers: [] }', '--config: resourceServer() found 2 problems']
  ])('refuses %s', async (name, code, words) => {
    await expect(ask({ token: 'a', config: write(name, code) })).rejects.toThrow(words)
  })
})

describe('--jwks FILE', () => {
  test('passes over keys for another use without a word', async () => {
    const issuer = await bed.issuer()
    const { publicJwk } = createSigningKey('RS256', { kid: 'enc' })
    const keys = { keys: [{ ...publicJwk, use: 'enc', alg: 'RSA-OAEP' }, ...issuer.jwks.keys] }
    const { out, code, report } = await ask({ token: issuer.token() }, { keys })
    expect(code).toBe(0)
    expect(report).toMatchObject({ verdict: 'let in', unusedKeys: [] })
    expect(out).not.toContain('Not used')
  })

  test('names private, short and broken keys, and verifies with the others', async () => {
    const issuer = await bed.issuer()
    const ec = createSigningKey('ES256', { kid: 'other' })
    const short = createSigningKey('RS256', { kid: 'short', modulusLength: 1024 })
    const keys = {
      keys: [
        ec.privateKey.export({ format: 'jwk' }),
        short.publicJwk,
        { ...ec.publicJwk, x: ec.publicJwk['y'] },
        null,
        ...issuer.jwks.keys
      ]
    }
    const { out, code, report } = await ask({ token: issuer.token() }, { keys })
    expect(code).toBe(0)
    expect(report['unusedKeys']).toHaveLength(4)
    expect(out).toContain('! Not used: keys[0] is a private or symmetric key: it must not be published\n')
    expect(out).toContain('! Not used: keys[1] has 1024 bits; RSA keys need 2048 to 8192\n')
    expect(out).toContain('! Not used: keys[2] has missing or invalid members\n')
    expect(out).toContain('! Not used: keys[3] is not an object\n')
  })

  test('without any usable key says of each why', async () => {
    const issuer = await bed.issuer()
    const keys = { keys: [createSigningKey('RS256', { modulusLength: 1024 }).publicJwk] }
    await expect(ask({ token: issuer.token() }, { keys })).rejects.toThrow(
      '--jwks: the file has no key that a token can be verified with\n- keys[0] has 1024 bits'
    )
    await expect(
      ask({ token: issuer.token() }, { keys: { keys: Array.from({ length: 101 }, () => ({})) } })
    ).rejects.toThrow('--jwks: a key set of 101 keys; at most 100 are read')
  })
})

describe('a key endpoint that wants credentials', () => {
  const guard: Behaviour = (exchange) =>
    (exchange.request.headers.authorization === 'Bearer right.token' ? fault.none() : fault.status(403))(exchange)

  test('leads to `jwksAuth`; with the token of a file its keys are read', async () => {
    const issuer = await bed.issuer()
    issuer.always('jwks', guard)
    const token = issuer.token()
    const { out, code } = await ask({ token })
    expect(code).toBe(2)
    expect(out).toContain('jwksAuth: { tokenFile: "/path/of/the/token" }`; here: --jwks-uri and --jwks-token-file')
    const given = { token, jwksUri: `${issuer.origin}/jwks`, jwksTokenFile: tokenFile }
    writeFileSync(tokenFile, 'wrong.token\n')
    const refused = await ask(given)
    expect(refused.code).toBe(2)
    expect(refused.report['remedy']).toMatch(/^Let the server allow the token of --jwks-token-file/)
    expect(refused.out).not.toContain('wrong.token')
    writeFileSync(tokenFile, 'right.token\n')
    expect(await ask(given)).toMatchObject({ code: 0, report: { verdict: 'let in' } })
  })

  test('no other failure of the keys leads there', async () => {
    const issuer = await bed.issuer()
    issuer.always('jwks', fault.status(404))
    const { report } = await ask({ token: issuer.token() })
    expect(report).toMatchObject({ reason: 'jwks_unavailable', remedy: null })
  })
})

test('--metadata-url is the one place that is asked', async () => {
  const issuer = await bed.issuer({ path: '/tenant', discovery: 'openid-append' })
  const metadataUrl = `${issuer.issuer}/.well-known/openid-configuration`
  expect((await ask({ token: issuer.token(), metadataUrl })).code).toBe(0)
  expect(new Set(issuer.requests.map(({ path }) => path))).toEqual(
    new Set(['/tenant/.well-known/openid-configuration', '/tenant/jwks'])
  )
})

describe('an authorization server that is not reached', () => {
  test.each([
    ['undici, whose error has the code', {}],
    ['fetch, which wraps that error in another', { dispatcher: fetchDispatcher() }]
  ])('for its private CA: the code and NODE_EXTRA_CA_CERTS, as reached with %s', async (_title, http) => {
    const issuer = await bed.issuer()
    const token = issuer.token({ claims: { iss: await startTls(bed) } })
    const { out, code, report } = await ask({ token }, { http })
    expect(code).toBe(2)
    expect(report).toMatchObject({ verdict: 'unknown', cause: 'self-signed certificate' })
    expect(report['remedy']).toContain('(DEPTH_ZERO_SELF_SIGNED_CERT): give Node the private CA: NODE_EXTRA_CA_CERTS')
    expect(out).toContain('\ncause  self-signed certificate\n')
  })

  test('for a certificate of another name: its code, and no advice to trust another authority', async () => {
    const authority = createCertificateAuthority()
    const issuer = await bed.issuer()
    const iss = await startTls(bed, authority.issue({ commonName: 'as.example.com', sans: ['as.example.com'] }))
    const dispatcher = new Agent({ connect: { ca: authority.cert } })
    const { report } = await ask({ token: issuer.token({ claims: { iss } }) }, { http: { dispatcher } })
    expect(report['remedy']).toContain('(ERR_TLS_CERT_ALTNAME_INVALID): it is for another name')
    expect(report['remedy']).not.toContain('NODE_EXTRA_CA_CERTS')
    await dispatcher.destroy()
  })

  test('for an error that is its own cause, or sums up others: ends, and finds the code inside', () => {
    const expired = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' })
    const all = new AggregateError([new Error('other'), new Error('wrapped', { cause: expired })])
    expect(certificateRemedy(all)).toMatch(/\(CERT_HAS_EXPIRED\): it is not valid at this time/)
    expect(causeOf(all)).toBe('certificate has expired')
    const circle = new Error('round')
    circle.cause = circle
    expect(certificateRemedy(circle)).toBeUndefined()
    expect(causeOf(circle)).toBe('round')
    expect(causeOf('no error')).toBeUndefined()
  })

  test('for a refused connection: the cause, and no word of certificates', async () => {
    const issuer = await bed.issuer()
    const token = issuer.token()
    await issuer.close()
    const { report } = await ask({ token })
    expect(report).toMatchObject({ cause: expect.stringContaining('ECONNREFUSED'), remedy: null })
  })
})
