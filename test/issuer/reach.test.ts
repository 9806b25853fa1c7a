/** `http.insecureHosts` and an issuer's `reachedAt`: where an authorization server is asked, and what stays a name. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Agent } from 'undici'
import { describe, expect, test } from 'vitest'
import { clientSecretBasic, type IssuerOptions, logoutTokenReceiver, resourceServer } from '../../src/index.js'
import type { ClientAuth } from '../../src/issuer/client-auth.js'
import { createCertificateAuthority } from '../support/certificates.js'
import { ask, authorize, createBed, denial, granted, introspecting, RESOURCE, refusal } from '../support/exchange.js'
import type { TestIssuer } from '../support/issuer.js'

const bed = createBed()
const NAME = 'https://sso.example.com/realms/main'

/** A server that calls itself by {@link NAME} and is reached at its own origin. */
async function named(): Promise<TestIssuer> {
  const server = await bed.issuer({ path: '/realms/main' })
  for (const [member, value] of Object.entries(server.metadata))
    if (typeof value === 'string') server.metadata[member] = value.replace(server.origin, 'https://sso.example.com')
  return server
}

const tokenOf = (server: TestIssuer, claims = {}): string => server.token({ claims: { iss: NAME, ...claims } })
const pathsOf = (server: TestIssuer): readonly string[] => server.requests.map(({ path }) => path)

/** A name of this machine that does not count as loopback, as `host:port`. */
const hostOf = (server: TestIssuer): string => `0.0.0.0:${new URL(server.origin).port}`

/** Calls itself by an address that only `http.insecureHosts` admits. */
async function insecure(): Promise<TestIssuer & { readonly name: string }> {
  const server = await bed.issuer()
  const name = `http://${hostOf(server)}`
  for (const [member, value] of Object.entries(server.metadata))
    if (typeof value === 'string') server.metadata[member] = value.replace(server.origin, name)
  return Object.assign(server, { name })
}

describe('reachedAt', () => {
  test('requests metadata and keys at that origin, and compares iss with the issuer', async () => {
    const server = await named()
    const api = bed.api({ issuers: [{ issuer: NAME, reachedAt: server.origin }] })
    expect(await ask(api, tokenOf(server))).toEqual(granted)
    expect(pathsOf(server)).toEqual(['/.well-known/oauth-authorization-server/realms/main', '/realms/main/jwks'])
    expect(await ask(api, server.token({ claims: { iss: server.issuer } }))).toEqual(denial.issuer)
  })

  test('refuses metadata that name the address instead of the issuer, with 500', async () => {
    const server = await named()
    server.metadata['issuer'] = server.issuer
    const api = bed.api({ issuers: [{ issuer: NAME, reachedAt: server.origin }] })
    const { hint } = await refusal(() => authorize(api, tokenOf(server)))
    expect(hint).toContain(`(asked at ${server.origin}) names the issuer ${JSON.stringify(server.issuer)}`)
    expect(await ask(api, tokenOf(server))).toEqual(denial.misconfigured)
  })

  test('introspects at that origin, while the client authenticates to the issuer', async () => {
    const server = await named()
    const token = server.opaque({ iss: NAME })
    const seen: unknown[] = []
    const auth: ClientAuth = (as, client, body, headers) => {
      seen.push(as.issuer, as['introspection_endpoint'], as['token_endpoint'])
      return clientSecretBasic('secret')(as, client, body, headers)
    }
    const issuer = { ...introspecting(server, { auth }), issuer: NAME, reachedAt: server.origin }
    expect(await ask(bed.api({ issuers: [issuer] }), token)).toEqual(granted)
    expect(seen).toEqual([NAME, `${NAME}/introspect`, `${NAME}/token`])
    expect(server.count('introspection')).toBe(1)
  })

  test('fetches a status list at that origin, while its URI stays its name', async () => {
    const server = await named()
    const uri = `${NAME}/status/1`
    server.statusList({ lst: new Uint8Array([0b10]) }, { claims: { iss: NAME, sub: uri } })
    const api = bed.api({ issuers: [{ issuer: NAME, reachedAt: server.origin, statusList: true }] })
    const at = (idx: number): string => tokenOf(server, { status: { status_list: { uri, idx } } })
    expect(await ask(api, at(0))).toEqual(granted)
    expect(await ask(api, at(1))).toMatchObject({ status: 401 })
    expect(server.count('status')).toBe(1)
  })

  test('does not change URLs of other origins', async () => {
    const [server, elsewhere] = [await named(), await insecure()]
    server.metadata['jwks_uri'] = `${elsewhere.name}/jwks`
    const api = bed.api({
      issuers: [{ issuer: NAME, reachedAt: server.origin }],
      http: { insecureHosts: [hostOf(elsewhere)] }
    })
    const [key] = elsewhere.keys
    expect(await ask(api, elsewhere.token({ claims: { iss: NAME }, ...(key && { key }) }))).toEqual(granted)
    expect([server.count('jwks'), elsewhere.count('jwks')]).toEqual([0, 1])
  })

  test('does not change URLs in the settings', async () => {
    const [server, keys] = [await named(), await named()]
    const api = bed.api({
      issuers: [{ issuer: NAME, reachedAt: server.origin, jwksUri: `${keys.origin}/realms/main/jwks` }]
    })
    expect(await ask(api, tokenOf(keys))).toEqual(granted)
    expect([server.requests.length, keys.count('jwks')]).toEqual([0, 1])
  })

  test('accepts URLs of the inner host, as a dynamic back channel returns them, only if insecureHosts names it', async () => {
    const server = await named()
    server.metadata['jwks_uri'] = `http://${hostOf(server)}/realms/main/jwks`
    const issuers = [{ issuer: NAME, reachedAt: server.origin }]
    const { hint, status } = await refusal(() => authorize(bed.api({ issuers }), tokenOf(server)))
    expect([status, hint]).toEqual([
      500,
      expect.stringContaining(`name its host in \`http.insecureHosts\`, as '${hostOf(server)}'`)
    ])
    expect(server.count('jwks')).toBe(0)
    const api = bed.api({ issuers, http: { insecureHosts: [hostOf(server)] } })
    expect(await ask(api, tokenOf(server))).toEqual(granted)
  })

  test('verifies the certificate of the requested origin, not of the issuer’s', async () => {
    const server = await named()
    const authority = createCertificateAuthority()
    const front = async (host: string): Promise<string> => {
      const listener = createServer(authority.issue({ commonName: host, sans: [host] }), async (incoming, response) => {
        const answer = await fetch(server.origin + incoming.url)
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
      })
      listener.listen(0)
      await once(listener, 'listening')
      bed.closing({ close: async () => listener.close(() => undefined).closeAllConnections() })
      return `https://localhost:${(listener.address() as AddressInfo).port}`
    }
    const dispatcher = bed.closing(new Agent({ connect: { ca: authority.cert } }))
    const apiAt = (reachedAt: string) => bed.api({ issuers: [{ issuer: NAME, reachedAt }], http: { dispatcher } })
    expect(await ask(apiAt(await front('localhost')), tokenOf(server))).toEqual(granted)
    const { status, cause } = await refusal(() => authorize(apiAt('https://localhost:9'), tokenOf(server)))
    expect([status, cause]).toEqual([503, expect.objectContaining({ code: 'ECONNREFUSED' })])
    const wrong = await refusal(async () => authorize(apiAt(await front('sso.example.com')), tokenOf(server)))
    expect([wrong.status, wrong.cause]).toEqual([
      503,
      expect.objectContaining({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    ])
  })

  test('is read from a resolver’s answer, and no message shows it', async () => {
    const server = await named()
    const answers = new Map<string, IssuerOptions>([[NAME, { issuer: NAME, reachedAt: server.origin }]])
    const api = bed.api({ issuers: (iss = '') => answers.get(iss), http: { publicAddressesOnly: false } })
    expect(await ask(api, tokenOf(server))).toEqual(granted)
    answers.set(`${NAME}/2`, { issuer: `${NAME}/2`, reachedAt: 'http://inner-name:8080' })
    const token = server.token({ claims: { iss: `${NAME}/2` } })
    const { status, hint } = await refusal(() => authorize(api, token))
    expect([status, hint]).toEqual([500, expect.stringContaining('`answer.reachedAt`')])
    expect(hint).not.toContain('inner-name')
  })

  test('does not override publicAddressesOnly: 503, and nothing is requested', async () => {
    const server = await named()
    const api = bed.api({ issuers: [{ issuer: NAME, reachedAt: server.origin }], http: { publicAddressesOnly: true } })
    const { status, hint } = await refusal(() => authorize(api, tokenOf(server)))
    expect([status, hint]).toEqual([503, expect.stringContaining('is not at a public address')])
    expect(server.requests).toEqual([])
  })

  test.each([
    [
      'http://keycloak:8080',
      'use https; http is accepted for localhost, 127.0.0.0/8 and [::1] only, unless `http.insecureHosts` names the host and port'
    ],
    ['https://keycloak:8443/realms', 'has a path, a query or a fragment: give the origin only'],
    ['https://keycloak:8443?a', 'has a path, a query or a fragment: give the origin only'],
    ['https://u:p@keycloak:8443', 'holds a user name or password'],
    ['keycloak:8080', 'it must be an origin, such as https://keycloak.internal:8443'],
    [1, 'it must be an origin, such as https://keycloak.internal:8443']
  ])('refuses %j at start', (reachedAt, problem) => {
    const issuers = [{ issuer: NAME, reachedAt: reachedAt as string }]
    expect(() => resourceServer({ resource: RESOURCE, issuers })).toThrow(/`issuers\[0\]\.reachedAt`/)
    expect(() => resourceServer({ resource: RESOURCE, issuers })).toThrow(problem)
  })

  test('is shown by describe()', () => {
    const api = bed.api({ issuers: [{ issuer: NAME, reachedAt: 'https://keycloak.internal:8443/' }] })
    expect(api.describe()['issuers']).toMatchObject([{ issuer: NAME, reachedAt: 'https://keycloak.internal:8443' }])
  })
})

describe('insecureHosts', () => {
  test('permits plain http for an issuer at exactly that host and port', async () => {
    const server = await insecure()
    const http = { insecureHosts: [hostOf(server)] }
    expect(() => bed.api({ issuers: [server.name] })).toThrow(/use https/)
    const api = bed.api({ issuers: [server.name], http })
    expect(await ask(api, server.token({ claims: { iss: server.name } }))).toEqual(granted)
    for (const other of [
      'http://0.0.0.0:1',
      'http://0.0.0.0',
      `http://0.0.0.0.evil.example:${new URL(server.name).port}`
    ])
      expect(() => bed.api({ issuers: [other], http })).toThrow(/use https/)
  })

  test('permits introspection there, with the client’s secret', async () => {
    const server = await insecure()
    const token = server.opaque({ iss: server.name })
    const issuer = { ...introspecting(server, { auth: clientSecretBasic('secret') }), issuer: server.name }
    const api = bed.api({ issuers: [issuer], http: { insecureHosts: [hostOf(server)] } })
    expect(await ask(api, token)).toEqual(granted)
    expect(server.requests.at(-1)?.headers.authorization).toMatch(/^Basic /)
  })

  test('permits http for every URL of an issuer, and for no URL of this API', () => {
    const http = { insecureHosts: ['keycloak:8080', 'keycloak:80', '[fd00::1]:8080', '10.0.0.5:80', 'key_cloak:1'] }
    const place = 'http://keycloak:8080/x'
    const introspection = { endpoint: place, auth: () => {} }
    const issuer = { jwksUri: place, metadataUrl: place, introspection, statusList: { origins: ['http://keycloak'] } }
    const start = (options: object) => () => bed.api({ issuers: [{ issuer: place, ...issuer }], http, ...options })
    expect(
      start({ issuers: [{ issuer: 'http://keycloak', reachedAt: 'http://[fd00::1]:8080' }, 'http://10.0.0.5'] })
    ).not.toThrow()
    const api = start({})()
    expect(api.describe()['http']).toMatchObject({ insecureHosts: http.insecureHosts })
    expect(start({ resource: place })).toThrow(/`resource` .*use https/)
    expect(start({ publicUrl: place })).toThrow(/`publicUrl` .*use https/)
    expect(start({ metadata: { resource_documentation: place } })).toThrow(
      /`metadata.resource_documentation` .*use https/
    )
    const sender = { issuer: place, clientId: 'api', jwksUri: place }
    expect(() => logoutTokenReceiver(api, { issuers: [sender] })).not.toThrow()
    const strict = bed.api({ issuers: [NAME] })
    expect(() => logoutTokenReceiver(strict, { issuers: [sender] })).toThrow(/use https/)
  })

  test.each([
    '*',
    '*:8080',
    '*.svc.cluster.local:8080',
    'keycloak',
    'keycloak:',
    'keycloak:*',
    'keycloak:080',
    'keycloak:99999',
    'Keycloak:8080',
    'http://keycloak:8080',
    'keycloak:8080/',
    'keycloak:8080/realms',
    'keycloak:8080?x',
    'user@keycloak:8080',
    'u:p@keycloak:8080',
    '10.0.0.0/8',
    '10.0.0.0/8:80',
    '10.1:80',
    '0x7f.0.0.1:80',
    'fd00::1:80',
    '[fd00::0:1]:80',
    ' keycloak:8080',
    'keycloak:8080,other:8080',
    ''
  ])('refuses %j at start, which names no host exactly', (entry) => {
    expect(() => bed.api({ issuers: [NAME], http: { insecureHosts: [entry] } })).toThrow(
      /`http\.insecureHosts` holds ".*": write each as 'keycloak:8080'/
    )
  })

  test('refuses an empty list, a string, or publicAddressesOnly beside it, at start', () => {
    const start = (http: object) => () => bed.api({ issuers: [NAME], http })
    expect(start({ insecureHosts: [] })).toThrow(/`http\.insecureHosts` is empty/)
    expect(start({ insecureHosts: 'keycloak:8080' })).toThrow(/`http\.insecureHosts` .*an array of strings/)
    expect(start({ insecureHosts: ['keycloak:8080'], publicAddressesOnly: true })).toThrow(
      /`http\.insecureHosts` contradicts `http\.publicAddressesOnly`/
    )
  })

  test('causes one warning at start, which names the hosts and what travels unencrypted', () => {
    const messages: string[] = []
    const listen = (message: unknown): void => void messages.push((message as { message: string }).message)
    subscribe('oauth-resource-server:warning', listen)
    try {
      bed.api({ issuers: [NAME], http: { insecureHosts: ['keycloak:8080', 'hydra:4445'] } })
    } finally {
      unsubscribe('oauth-resource-server:warning', listen)
    }
    expect(messages).toEqual([
      expect.stringMatching(/keycloak:8080, hydra:4445: tokens, keys and client secrets travel unencrypted/)
    ])
  })
})
