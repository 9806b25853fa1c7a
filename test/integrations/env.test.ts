/** Options from environment variables: what each says, and everything that is wrong with them, at once and without a value. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromEnv } from '../../integrations/env.js'
import { type IssuerOptions, resourceServer } from '../../src/index.js'
import { startIssuer } from '../support/issuer.js'

const NEEDED = { OAUTH_RS_RESOURCE: 'https://api.example.com', OAUTH_RS_ISSUER: 'https://as.example.com' }

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'env-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** What is said of an environment, or what comes of it. */
function said(env: Record<string, string>): string[] {
  try {
    fromEnv(env)
    return []
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return (error as Error).message.split('\n').slice(1)
  }
}

const issuerOf = (env: Record<string, string>): IssuerOptions =>
  (fromEnv({ ...NEEDED, ...env }).issuers as IssuerOptions[])[0] as IssuerOptions

describe('options from the environment', () => {
  test('reads the two required variables, and adds nothing', () => {
    expect(fromEnv({ ...NEEDED, PATH: '/bin', OAUTH_RS_AUDIENCE: '' })).toEqual({
      resource: 'https://api.example.com',
      issuers: [{ issuer: 'https://as.example.com' }]
    })
  })

  test('reads every variable', () => {
    const { introspection, ...issuer } = issuerOf({
      OAUTH_RS_AUDIENCE: 'orders  billing',
      OAUTH_RS_TOKEN_PROFILE: 'legacy',
      OAUTH_RS_TOKENS: 'both',
      OAUTH_RS_JWKS_URI: 'https://as.example.com/keys',
      OAUTH_RS_JWKS_TOKEN_FILE: '/var/run/token',
      OAUTH_RS_METADATA_URL: 'https://as.example.com/metadata',
      OAUTH_RS_INTROSPECTION_ENDPOINT: 'https://as.example.com/introspect',
      OAUTH_RS_CLIENT_ID: 'api',
      OAUTH_RS_CLIENT_SECRET: 'secret'
    })
    expect(issuer).toEqual({
      issuer: 'https://as.example.com',
      audience: ['orders', 'billing'],
      tokenProfile: 'legacy',
      tokens: 'both',
      jwksUri: 'https://as.example.com/keys',
      jwksAuth: { tokenFile: '/var/run/token' },
      metadataUrl: 'https://as.example.com/metadata'
    })
    expect(introspection).toMatchObject({ clientId: 'api', endpoint: 'https://as.example.com/introspect' })
    const more = fromEnv({
      ...NEEDED,
      OAUTH_RS_ISSUER: 'https://a.example https://b.example',
      OAUTH_RS_CLOCK_TOLERANCE: '5',
      OAUTH_RS_PUBLIC_URL: 'https://edge.example.com',
      OAUTH_RS_DPOP: 'required',
      OAUTH_RS_DPOP_NONCES: 'offered',
      OAUTH_RS_DPOP_NONCE_SECRET: 's'.repeat(32)
    })
    expect(more).toEqual({
      resource: 'https://api.example.com',
      issuers: [{ issuer: 'https://a.example' }, { issuer: 'https://b.example' }],
      clockTolerance: 5,
      publicUrl: 'https://edge.example.com',
      requireSenderConstrained: 'dpop',
      dpop: { nonces: 'offered', nonceSecret: 's'.repeat(32) }
    })
    expect(() => resourceServer(more)).not.toThrow()
    expect(fromEnv({ ...NEEDED, OAUTH_RS_DPOP: 'off' }).dpop).toBe(false)
    expect(fromEnv({ ...NEEDED, OAUTH_RS_DPOP: 'offered' }).dpop).toEqual({ advertise: true })
  })

  test('passes hosts for plain http and the origin of an issuer to the API', () => {
    const options = fromEnv({
      ...NEEDED,
      OAUTH_RS_INSECURE_HOSTS: 'keycloak:8080 hydra:4445',
      OAUTH_RS_REACHED_AT: 'http://keycloak:8080'
    })
    expect(options).toEqual({
      resource: 'https://api.example.com',
      issuers: [{ issuer: 'https://as.example.com', reachedAt: 'http://keycloak:8080' }],
      http: { insecureHosts: ['keycloak:8080', 'hydra:4445'] }
    })
    expect(() => resourceServer(options)).not.toThrow()
    expect(said({ ...NEEDED, OAUTH_RS_INSECURE_HOSTS: 'a:1,b:2' })).toEqual([
      expect.stringContaining('OAUTH_RS_INSECURE_HOSTS has commas')
    ])
    const two = 'https://a.example https://b.example'
    expect(said({ ...NEEDED, OAUTH_RS_ISSUER: two, OAUTH_RS_REACHED_AT: 'http://keycloak:8080' })).toEqual([
      expect.stringContaining('OAUTH_RS_REACHED_AT describes one issuer')
    ])
  })

  test('passes a proxy to the API, by its name or from a file, and no message repeats it', () => {
    const proxy = 'http://orders:geheim@proxy.internal:3128'
    expect(fromEnv({ ...NEEDED, OAUTH_RS_PROXY: 'environment' }).http).toEqual({ proxy: 'environment' })
    expect(fromEnv({ ...NEEDED, OAUTH_RS_PROXY: proxy }).http).toEqual({ proxy })
    const file = join(folder, 'proxy')
    writeFileSync(file, `${proxy}\n`)
    expect(fromEnv({ ...NEEDED, OAUTH_RS_PROXY_FILE: file }).http).toEqual({ proxy })
    const wrong = fromEnv({ ...NEEDED, OAUTH_RS_PROXY: `${proxy}/path` })
    expect(() => resourceServer(wrong)).toThrow(/`http\.proxy` has a path/)
    expect(() => resourceServer(wrong)).not.toThrow(/geheim/)
    expect(
      said({ ...NEEDED, OAUTH_RS_PROXY: proxy, OAUTH_RS_PROXY_FILE: file, OAUTH_RS_TOKENS: 'x' }).join()
    ).not.toMatch(/geheim/)
  })

  test.each([
    ['a secret in the field', { OAUTH_RS_CLIENT_SECRET: 'sec ret' }, 'authorization', /^Basic /],
    [
      'a secret in the form',
      { OAUTH_RS_CLIENT_SECRET: 'sec ret', OAUTH_RS_CLIENT_AUTH: 'client_secret_post' },
      'form',
      /^sec ret$/
    ],
    ['a secret in a file', { file: 'sec ret\n' }, 'form', /^sec ret$/]
  ] as const)('%s authenticates this API', async (_title, env, where, expected) => {
    const issuer = await startIssuer()
    try {
      const { file, ...given } = env as Record<string, string>
      if (file !== undefined) {
        const path = join(folder, 'secret')
        writeFileSync(path, file)
        Object.assign(given, { OAUTH_RS_CLIENT_SECRET_FILE: path, OAUTH_RS_CLIENT_AUTH: 'client_secret_post' })
      }
      const options = { ...given, OAUTH_RS_ISSUER: issuer.issuer, OAUTH_RS_CLIENT_ID: 'api' }
      const api = resourceServer(fromEnv({ ...NEEDED, ...options }))
      const request = {
        method: 'GET',
        url: '/',
        fieldLines: (name: string) => (name === 'authorization' ? [`Bearer ${issuer.opaque()}`] : [])
      }
      await expect(Promise.resolve(api.authorize(request))).resolves.toBeDefined()
      const asked = issuer.requests.find(({ endpoint }) => endpoint === 'introspection')
      const seen = where === 'form' ? asked?.form.get('client_secret') : asked?.headers.authorization
      expect(seen).toMatch(expected)
      await api.close()
    } finally {
      await issuer.close()
    }
  })

  test('sends the token of OAUTH_RS_JWKS_TOKEN_FILE to OAUTH_RS_JWKS_URI, reading the file before each fetch', async () => {
    const issuer = await startIssuer()
    const path = join(folder, 'token')
    writeFileSync(path, 'first.token\n')
    const env = { OAUTH_RS_JWKS_URI: `${issuer.origin}/jwks`, OAUTH_RS_JWKS_TOKEN_FILE: path }
    const api = resourceServer(fromEnv({ ...NEEDED, ...env, OAUTH_RS_ISSUER: issuer.issuer }))
    try {
      await api.ready()
      writeFileSync(path, 'second.token\n')
      await api.refresh()
      expect(issuer.requests.map(({ path: asked, headers }) => [asked, headers.authorization])).toEqual([
        ['/jwks', 'Bearer first.token'],
        ['/jwks', 'Bearer second.token']
      ])
    } finally {
      await api.close()
      await issuer.close()
    }
  })

  test('accepts two nonce secrets, to replace one by the other', () => {
    const [current, previous] = ['c'.repeat(32), 'p'.repeat(32)]
    const dpop = (secret: string): unknown => fromEnv({ ...NEEDED, OAUTH_RS_DPOP_NONCE_SECRET: secret }).dpop
    expect(dpop(current)).toEqual({ nonceSecret: current })
    expect(dpop(`${current} ${previous}`)).toEqual({ nonceSecret: [current, previous] })
  })

  test('sends an API key as a Bearer token', () => {
    expect(issuerOf({ OAUTH_RS_API_KEY: 'KEY' }).introspection).toMatchObject({ auth: expect.any(Function) })
  })
})

test('docs/options.md names every variable, and no other', () => {
  const page = readFileSync(new URL('../../docs/options.md', import.meta.url), 'utf8')
  const names = [...new Set(page.match(/OAUTH_RS_[A-Z_]+/g))]
  const known = (said({ OAUTH_RS_XYZ: '1' })[0]?.match(/OAUTH_RS_[A-Z_]+/g) ?? []).filter(
    (name) => name !== 'OAUTH_RS_XYZ'
  )
  const files = ['CLIENT_SECRET', 'API_KEY', 'DPOP_NONCE_SECRET', 'PROXY'].map((name) => `OAUTH_RS_${name}_FILE`)
  expect(names.toSorted()).toEqual([...known, ...files].toSorted())
})

describe('mistakes in the environment', () => {
  test('are all reported together, by variable name', () => {
    expect(
      said({
        OAUTH_RS_CLIENT_SECRET: 'hush',
        OAUTH_RS_TOKENS: 'maybe',
        OAUTH_RS_AUDIANCE: 'orders',
        OAUTH_RS_CLOCK_TOLERANCE: 'soon'
      })
    ).toEqual([
      '- OAUTH_RS_AUDIANCE is not a known variable: did you mean OAUTH_RS_AUDIENCE?',
      '- OAUTH_RS_TOKENS must be one of jwt, opaque, both',
      expect.stringMatching(/^- OAUTH_RS_RESOURCE is missing: /),
      expect.stringMatching(/^- OAUTH_RS_ISSUER is missing: /),
      expect.stringMatching(/^- OAUTH_RS_CLIENT_ID is missing: /),
      '- OAUTH_RS_CLOCK_TOLERANCE is not a whole number of seconds, in digits: write 30'
    ])
  })

  test.each([
    ['a client without a secret', { OAUTH_RS_CLIENT_ID: 'api' }, 'OAUTH_RS_CLIENT_SECRET is missing'],
    ['a way without a client', { OAUTH_RS_CLIENT_AUTH: 'client_secret_post' }, 'OAUTH_RS_CLIENT_ID is missing'],
    [
      'two ways to authenticate',
      { OAUTH_RS_CLIENT_ID: 'a', OAUTH_RS_CLIENT_SECRET: 'b', OAUTH_RS_API_KEY: 'c' },
      'are both set'
    ],
    [
      'opaque tokens and nobody to ask as',
      { OAUTH_RS_TOKENS: 'opaque' },
      'OAUTH_RS_CLIENT_ID or OAUTH_RS_API_KEY is missing'
    ],
    ['an endpoint and nobody to ask as', { OAUTH_RS_INTROSPECTION_ENDPOINT: 'https://a.example/i' }, 'is missing'],
    ['a secret twice', { OAUTH_RS_API_KEY: 'KEY', OAUTH_RS_API_KEY_FILE: '/nowhere' }, 'are both set'],
    ['a file that is not there', { OAUTH_RS_API_KEY_FILE: '/nowhere/at/all' }, 'cannot be read'],
    [
      'refuses a token file without the one address that its token is sent to',
      { OAUTH_RS_JWKS_TOKEN_FILE: '/var/run/token' },
      'OAUTH_RS_JWKS_URI is missing: the token of OAUTH_RS_JWKS_TOKEN_FILE is sent there and nowhere else'
    ],
    [
      'a file for what is no secret',
      { OAUTH_RS_ISSUER_FILE: '/etc/hosts' },
      'OAUTH_RS_ISSUER_FILE is not a known variable'
    ],
    ['nonces for what is off', { OAUTH_RS_DPOP: 'off', OAUTH_RS_DPOP_NONCES: 'required' }, 'OAUTH_RS_DPOP is off'],
    ['a name like no other', { OAUTH_RS_XYZ: '1' }, 'the names are OAUTH_RS_RESOURCE, OAUTH_RS_ISSUER'],
    [
      'a secret in a file that is not there',
      { OAUTH_RS_CLIENT_ID: 'api', OAUTH_RS_CLIENT_SECRET_FILE: '/nowhere' },
      'cannot be read'
    ],
    [
      'commas',
      { OAUTH_RS_ISSUER: 'https://a.example, https://b.example' },
      'OAUTH_RS_ISSUER has commas: separate several by spaces'
    ],
    [
      'commas without a space',
      { OAUTH_RS_AUDIENCE: 'https://a.example,https://b.example' },
      'OAUTH_RS_AUDIENCE has commas'
    ],
    [
      'refuses an audience with a comma, which would be one audience',
      { OAUTH_RS_AUDIENCE: 'a,b' },
      'OAUTH_RS_AUDIENCE has commas'
    ],
    [
      'refuses a boolean that is neither true nor false',
      { OAUTH_RS_API_KEY: 'KEY', OAUTH_RS_ALLOW_MISSING_AUDIENCE: '1' },
      'OAUTH_RS_ALLOW_MISSING_AUDIENCE must be one of true, false'
    ],
    [
      'refuses a word about introspection without credentials for it',
      { OAUTH_RS_ALLOW_MISSING_AUDIENCE: 'true' },
      'it needs OAUTH_RS_CLIENT_ID or OAUTH_RS_API_KEY'
    ],
    ['refuses a number that is not whole', { OAUTH_RS_CLOCK_TOLERANCE: '1.5' }, 'is not a whole number of seconds'],
    ['refuses a former name', { OAUTH_RS_PROFILE: 'legacy' }, 'was renamed: write OAUTH_RS_TOKEN_PROFILE=legacy'],
    [
      'a nonce secret of blanks',
      { OAUTH_RS_DPOP_NONCE_SECRET: '  ' },
      'OAUTH_RS_DPOP_NONCE_SECRET contains only spaces'
    ],
    ['three nonce secrets', { OAUTH_RS_DPOP_NONCE_SECRET: 'a b c' }, 'more than two secrets']
  ])('%s', (_title, env, words) => {
    const problems = said({ ...NEEDED, ...(env as unknown as Record<string, string>) })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(words)
  })

  test.each([
    ['JWKS_URI', {}],
    ['METADATA_URL', {}],
    ['CLIENT_ID', { OAUTH_RS_CLIENT_SECRET: 's' }],
    ['API_KEY', {}]
  ])('refuses %s with several issuers, because one could speak for the others', (name, more) => {
    const env = { ...NEEDED, ...more, [`OAUTH_RS_${name}`]: 'https://a.example/x' }
    expect(said(env)).toEqual([])
    expect(said({ ...env, OAUTH_RS_ISSUER: 'https://a.example https://b.example' })).toEqual([
      `- OAUTH_RS_${name} describes one issuer, but OAUTH_RS_ISSUER lists 2: configure each issuer in the option \`issuers\``
    ])
  })

  test('reports every variable of one issuer together if there are several, also from files', () => {
    const path = join(folder, 'key')
    writeFileSync(path, 'KEY')
    const problems = said({
      ...NEEDED,
      OAUTH_RS_ISSUER: 'https://a.example https://b.example https://c.example',
      OAUTH_RS_INTROSPECTION_ENDPOINT: 'https://a.example/i',
      OAUTH_RS_JWKS_URI: 'https://a.example/jwks',
      OAUTH_RS_JWKS_TOKEN_FILE: path,
      OAUTH_RS_API_KEY_FILE: path
    })
    expect(
      problems.map((one) => /OAUTH_RS_(\w+) describes one issuer, but OAUTH_RS_ISSUER lists 3/.exec(one)?.[1])
    ).toEqual(['JWKS_URI', 'JWKS_TOKEN_FILE', 'INTROSPECTION_ENDPOINT', 'API_KEY'])
  })

  test.each([
    ['true', { allowMissingAudience: true }],
    ['false', {}]
  ])('reads OAUTH_RS_ALLOW_MISSING_AUDIENCE=%s', (value, expected) => {
    const { introspection } = issuerOf({ OAUTH_RS_API_KEY: 'KEY', OAUTH_RS_ALLOW_MISSING_AUDIENCE: value })
    expect(introspection).toEqual({ auth: expect.any(Function), ...expected })
  })

  test('applies shared variables to several issuers', () => {
    const env = {
      ...NEEDED,
      OAUTH_RS_ISSUER: 'https://a.example https://b.example',
      OAUTH_RS_AUDIENCE: 'orders',
      OAUTH_RS_TOKEN_PROFILE: 'legacy',
      OAUTH_RS_TOKENS: 'jwt'
    }
    const each = { audience: ['orders'], tokenProfile: 'legacy', tokens: 'jwt' }
    expect(fromEnv(env).issuers).toEqual([
      { issuer: 'https://a.example', ...each },
      { issuer: 'https://b.example', ...each }
    ])
  })

  test('never repeats a value, which may be a secret in the wrong place', () => {
    const secret = 'hush-hush-hush'
    const env = Object.fromEntries(
      ['CLIENT_SECRET', 'TOKENS', 'PROFILE', 'DPOP', 'CLIENT_AUTH', 'CLOCK_TOLERANCE', 'API_KEY_FILE', 'OTHER'].map(
        (name) => [`OAUTH_RS_${name}`, secret]
      )
    )
    expect(said(env).join('\n')).not.toContain(secret)
  })
})
