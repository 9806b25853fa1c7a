/** The vendors that `doctor` recognises, and the configuration that it suggests for each. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { UsageError } from '../../src/cli/command.js'
import { configurationFor, explainCommandFor, introspectionLines } from '../../src/cli/doctor/configuration.js'
import { profileEntries } from '../../src/cli/explain/profile.js'
import { recognise, type Vendor } from '../../src/cli/vendors.js'
import type { AuthorizationServerMetadata } from '../../src/index.js'

interface Shape {
  readonly title: string
  readonly vendor: string | null
  readonly profile?: string | null
  readonly metadata: AuthorizationServerMetadata
}

const { shapes } = JSON.parse(readFileSync(join(import.meta.dirname, '../vectors/issuer-shapes.json'), 'utf8')) as {
  readonly shapes: readonly Shape[]
}

const known = shapes.filter(({ vendor }) => vendor !== null)
const plain = { resource: 'https://api.example.com', ca: false, proxy: false }

test.each(known)('recognises $title as $vendor', ({ vendor, profile, metadata }) => {
  const found = recognise(metadata.issuer, metadata)
  expect([found?.name, found?.profile]).toEqual([vendor, profile ?? undefined])
  expect(found?.sign).not.toBe('')
})

test.each(shapes.filter(({ vendor }) => vendor === null))('does not recognise $title', ({ metadata }) => {
  expect(recognise(metadata.issuer, metadata)).toBeUndefined()
})

test('recognises nothing in an issuer that is not a URL', () => {
  expect(recognise('acme.com', {})).toBeUndefined()
})

test('has a shape for each of thirteen vendors that are used most', () => {
  const names = new Set(known.map(({ profile }) => profile))
  for (const name of 'auth0 entra keycloak cognito okta google duende zitadel authentik logto workosAuthKit hydra springAuthorizationServer'.split(
    ' '
  ))
    expect(names).toContain(name)
})

describe('the suggested configuration', () => {
  mkdirSync(join(import.meta.dirname, '../.tmp'), { recursive: true })
  // Inside the repository, so that Node finds the package by its own name.
  const folder = mkdtempSync(join(import.meta.dirname, '../.tmp/vendors-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  test('starts a resource server, for every vendor and for none', async () => {
    const written = known.flatMap(({ metadata }, i) => {
      const vendor = recognise(metadata.issuer, metadata) as Vendor
      const name = join(folder, `${i}.mjs`)
      const code = configurationFor({ ...plain, issuer: metadata.issuer }, metadata, vendor)
      writeFileSync(name, `${code}\nexport const trusted = api.describe().issuers.map(({ issuer }) => issuer)\n`)
      return [{ name, issuer: metadata.issuer }]
    })
    const all = written.map(
      ({ name, issuer }) => `[${JSON.stringify(issuer)}, (await import('file://${name}')).trusted]`
    )
    writeFileSync(join(folder, 'all.mjs'), `console.log(JSON.stringify([${all.join(',')}]))`)
    const env = { ...process.env, TELNYX_API_KEY: 'KEY0123' }
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'all.mjs')], { env })
    for (const [issuer, trusted] of JSON.parse(stdout) as [string, string[]][]) {
      const isOldEntra = issuer.startsWith('https://sts.windows.net/')
      expect(trusted).toEqual([isOldEntra ? expect.stringContaining('login.microsoftonline.com') : issuer])
    }
  })

  test('keeps the options that the flags gave beside a profile', () => {
    const issuer = 'https://sso.example.com/realms/acme'
    const vendor = recognise(issuer, { issuer, token_endpoint: `${issuer}/protocol/openid-connect/token` })
    const jwksUri = `${issuer}/keys`
    const given = { ...plain, issuer, jwksUri, jwksTokenFile: '/token', ca: true, proxy: true }
    expect(configurationFor(given, undefined, vendor)).toBe(`import { resourceServer } from 'oauth-resource-server'
import { keycloak } from 'oauth-resource-server/profiles'

const api = resourceServer({
  resource: "https://api.example.com",
  issuers: [
    {
      ...keycloak({
        issuer: "https://sso.example.com/realms/acme",
        audience: "https://api.example.com" // the value that the audience mapper adds
      }),
      jwksUri: "https://sso.example.com/realms/acme/keys",
      jwksAuth: { tokenFile: "/token" }
    }
  ],
  http: { proxy: 'environment' }
})
// Start Node with the private CA: NODE_EXTRA_CA_CERTS=/path/of/ca.pem
`)
    expect(explainCommandFor({ issuer, resource: "https://api.example.com/it's" }, vendor)).toBe(
      String.raw`npx oauth-resource-server explain --profile keycloak --issuer ${issuer} --resource 'https://api.example.com/it'\''s' < token.txt`
    )
  })
})

test('suggests for Telnyx a variable for the API key, no second introspection, and a command without the key', () => {
  const issuer = 'https://api.telnyx.com'
  const metadata = { issuer, introspection_endpoint: `${issuer}/v2/oauth/introspect` }
  const vendor = recognise(issuer, metadata)
  expect(
    configurationFor({ ...plain, issuer }, metadata, vendor)
  ).toBe(`import { resourceServer } from 'oauth-resource-server'
import { telnyx } from 'oauth-resource-server/profiles'

const api = resourceServer({
  resource: "https://api.example.com",
  issuers: [
    telnyx({
      apiKey: process.env.TELNYX_API_KEY ?? ''
    })
  ]
})
`)
  expect(explainCommandFor({ issuer, resource: 'https://api.example.com' }, vendor)).toBe(
    `npx oauth-resource-server explain --profile telnyx --issuer ${issuer} --resource https://api.example.com < token.txt`
  )
})

describe('introspection', () => {
  const linesFor = (methods: unknown): string =>
    introspectionLines({
      issuer: 'https://as.example.com',
      introspection_endpoint: 'https://as.example.com/introspect',
      ...(methods !== undefined && { introspection_endpoint_auth_methods_supported: methods })
    }).join('\n')

  test.each([
    [['client_secret_basic', 'client_secret_post'], 'clientSecretBasic(process.env.CLIENT_SECRET)'],
    [['client_secret_post'], 'clientSecretPost(process.env.CLIENT_SECRET)'],
    [['private_key_jwt'], "privateKeyJwt(createPrivateKey(readFileSync('key.pem')))"],
    [['self_signed_tls_client_auth'], 'tlsClientAuth()'],
    [['Bearer'], 'bearerToken(process.env.INTROSPECTION_TOKEN)'],
    [['none'], 'noClientAuth()']
  ])('uses what the metadata offer: %j', (methods, code) => {
    expect(linesFor(methods)).toContain(`introspection: { clientId: 'api', auth: ${code} }`)
  })

  test('says that a key is offered, that nothing is known, and that the package has no such method', () => {
    expect(linesFor(['client_secret_basic', 'private_key_jwt'])).toContain('private_key_jwt is offered too')
    expect(linesFor(['private_key_jwt'])).not.toContain('offered too')
    expect(linesFor(undefined)).toContain('The metadata name no authentication there')
    expect(linesFor(['client_secret_jwt'])).toContain('The metadata offer client_secret_jwt there')
    expect(introspectionLines({ issuer: 'https://as.example.com' })).toEqual([])
  })
})

describe('--profile', () => {
  beforeEach(() => vi.stubEnv('TELNYX_API_KEY', ''))
  afterEach(() => vi.unstubAllEnvs())

  const flags = {
    issuer: 'https://sso.example.com/realms/acme',
    resource: 'https://api.example.com',
    audience: undefined
  }

  test('takes issuer and audience from the other options, and the rest from --with', () => {
    const [entry] = profileEntries('keycloak', { ...flags, parameters: ['clientId=orders=api'] })
    expect(entry).toMatchObject({
      issuer: flags.issuer,
      audience: [flags.resource],
      rolesClaim: {
        all: [
          ['realm_access', 'roles'],
          ['resource_access', 'orders=api', 'roles']
        ]
      }
    })
    const issuer = 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example'
    const [pool] = profileEntries('cognito', { ...flags, issuer, parameters: ['clientIds=a', 'clientIds=b'] })
    expect(pool).toMatchObject({ issuer, audience: ['a', 'b'] })
  })

  test('takes a secret from the environment, so that no argument shows it', () => {
    vi.stubEnv('TELNYX_API_KEY', 'KEY0123')
    const [entry] = profileEntries('telnyx', { ...flags, issuer: 'https://api.telnyx.com', parameters: [] })
    expect(entry).toMatchObject({ issuer: 'https://api.telnyx.com', tokens: 'opaque' })
  })

  test.each([
    ['cognito', [], /`clientIds`.*\nGive each with --with, such as --with clientIds=VALUE\./s],
    ['xsuaa', [], /`xsappname`/],
    ['keyclock', [], /there is no such profile\. Near: keycloak\./],
    ['mcp', [], /there is no such profile/],
    ['legacy', [], /write --token-profile legacy\./],
    ['telnyx', [], /`apiKey`.*\nSet the environment variable TELNYX_API_KEY to the apiKey\.$/s],
    ['keycloak', ['clientId'], /--with needs a name and a value/],
    ['keycloak', ['clientID=a'], /`clientID`/]
  ])('says what %s needs with %j', (name, parameters, words) => {
    const attempt = (): unknown => profileEntries(name, { ...flags, parameters })
    expect(attempt).toThrow(UsageError)
    expect(attempt).toThrow(words)
  })
})
