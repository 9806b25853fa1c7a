/**
 * Every example is run as its reader would run it: a process of its own, on the built package, asked over HTTP. So what
 * the README shows works.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { hash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as oauth from 'oauth4webapi'
import { Agent, request } from 'undici'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { type CertificateAndKey, createCertificateAuthority } from '../support/certificates.js'
import { startIssuer, type TestIssuer } from '../support/issuer.js'
import { freePort } from '../support/ports.mjs'

const EXAMPLES = new URL('../../examples/', import.meta.url)
const SERVERS = ['express.mjs', 'fastify.mjs', 'hono.mjs', 'introspection.mjs', 'koa.mjs', 'kubernetes.mjs']

/** A log for another engine: `npm run postgres` tests it. */
const LOGS = ['postgres-log.mjs']

/** Those that take no bearer tokens, or ask for more than a scope, have tests of their own. */
const OTHERS = ['cookies.mjs', 'dpop.mjs', 'forwarded-token.mjs', 'mcp.mjs', 'mtls.mjs', 'step-up.mjs']

let issuer: TestIssuer | undefined
let child: ChildProcess | undefined

afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  await issuer?.close()
  child = undefined
  issuer = undefined
})

interface Running {
  readonly origin: string
  readonly line: string
  readonly issuer: TestIssuer
}

/** Starts an issuer, then the example against it, and waits for its first line. */
async function run(example: string, env: Readonly<Record<string, string>> = {}, scheme = 'http'): Promise<Running> {
  issuer = await startIssuer()
  const port = await freePort()
  const origin = `${scheme}://localhost:${port}`
  child = spawn(process.execPath, [fileURLToPath(new URL(example, EXAMPLES))], {
    env: {
      PATH: process.env.PATH,
      // Refusals are what these tests ask for.
      NODE_NO_WARNINGS: '1',
      ISSUER: issuer.issuer,
      RESOURCE: origin,
      PORT: String(port),
      CLIENT_ID: 'orders-api',
      CLIENT_SECRET: 's3cret',
      NONCE_SECRET: 'a secret of thirty-two characters',
      PROBE_PORT: '0',
      ...env
    },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const line = await Promise.race([
    once(lines, 'line').then(([text]) => String(text)),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${example} ended with ${code} before it listened`)))
  ])
  return { origin, line, issuer }
}

/** A token for the example, by the standard claims of the issuer. */
function claims(origin: string, scope: string): Record<string, unknown> {
  return { aud: origin, scope, sub: 'alice' }
}

function get(url: string, token?: string): Promise<Response> {
  return fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
}

test('runs every file of examples/, but those that have a test of their own', () => {
  expect(
    readdirSync(EXAMPLES)
      .filter((name) => name.endsWith('.mjs'))
      .sort()
  ).toEqual([...SERVERS, ...OTHERS, ...LOGS].sort())
})

describe('examples/kubernetes.mjs', () => {
  const statusOf = (port: number, path: string): Promise<number | undefined> =>
    fetch(`http://127.0.0.1:${port}${path}`).then(
      ({ status }) => status,
      () => undefined
    )

  test('is live at once, and ready when the keys are known, also after an outage at the start', async () => {
    const port = await freePort()
    await run('kubernetes.mjs', { PROBE_PORT: String(port), ISSUER: 'http://127.0.0.1:9' })
    expect(await statusOf(port, '/live')).toBe(200)
    expect(await statusOf(port, '/ready')).toBe(503)
    child?.kill('SIGKILL')
    await issuer?.close()

    await run('kubernetes.mjs', { PROBE_PORT: String(port) })
    await expect.poll(() => statusOf(port, '/ready'), { timeout: 20_000 }).toBe(200)
    expect(await statusOf(port, '/live')).toBe(200)
  })
})

describe.each(SERVERS)('examples/%s', (example) => {
  test('accepts a good token, refuses others, publishes its metadata and ends on SIGTERM', async () => {
    const { origin, line, issuer } = await run(example)
    const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource"`
    expect(line).toMatch(new RegExp(`^\\w+: ${origin}/orders$`))

    const good = await get(`${origin}/orders`, issuer.token({ claims: claims(origin, 'orders:read') }))
    expect(good.status).toBe(200)
    expect(await good.json()).toEqual({ orders: [], subject: 'alice' })

    const absent = await get(`${origin}/orders`)
    expect(absent.status).toBe(401)
    expect(absent.headers.get('www-authenticate')).toBe(`Bearer scope="orders:read", ${metadata}`)
    expect(await absent.text()).toBe('')

    const foreign = { ...claims(origin, 'orders:read'), aud: 'https://other.example' }
    const bad = await get(`${origin}/orders`, issuer.token({ claims: foreign }))
    expect(bad.status).toBe(401)
    expect(bad.headers.get('www-authenticate')).toBe(
      `Bearer error="invalid_token", error_description="The access token audience is not accepted", scope="orders:read", ${metadata}`
    )
    expect(bad.headers.get('content-type')).toMatch(/^application\/json/)
    expect(await bad.json()).toEqual({
      error: 'invalid_token',
      error_description: 'The access token audience is not accepted'
    })

    const lacking = await get(`${origin}/orders`, issuer.token({ claims: claims(origin, 'orders:write') }))
    expect(lacking.status).toBe(403)
    expect(lacking.headers.get('www-authenticate')).toBe(
      `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="orders:read", ${metadata}`
    )
    expect(await lacking.json()).toEqual({
      error: 'insufficient_scope',
      error_description: 'The access token lacks a required scope'
    })

    const document = await get(`${origin}/.well-known/oauth-protected-resource`)
    expect(document.status).toBe(200)
    expect(await document.json()).toEqual({
      resource: origin,
      authorization_servers: [issuer.issuer],
      scopes_supported: ['orders:read'],
      bearer_methods_supported: ['header']
    })

    const exited = once(child as ChildProcess, 'exit')
    child?.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  })
})

test('examples/introspection.mjs introspects opaque tokens with its client secret, and no JWT', async () => {
  const { origin, issuer } = await run('introspection.mjs')
  const basic = `Basic ${Buffer.from('orders-api:s3cret').toString('base64')}`
  issuer.introspectionAuth = ({ headers }) => headers.authorization === basic

  const jwt = await get(`${origin}/orders`, issuer.token({ claims: claims(origin, 'orders:read') }))
  expect(jwt.status).toBe(200)
  expect(issuer.count('introspection')).toBe(0)

  const opaque = await get(`${origin}/orders`, issuer.opaque(claims(origin, 'orders:read')))
  expect(opaque.status).toBe(200)
  expect(await opaque.json()).toEqual({ orders: [], subject: 'alice' })

  const unknown = await get(`${origin}/orders`, 'no-such-token')
  expect(unknown.status).toBe(401)
  expect(unknown.headers.get('www-authenticate')).toBe(
    `Bearer error="invalid_token", error_description="The access token is not active", scope="orders:read", resource_metadata="${origin}/.well-known/oauth-protected-resource"`
  )
  expect(issuer.count('introspection')).toBe(2)
})

test('examples/dpop.mjs accepts a client that proves its key and repeats with a nonce, and refuses a bearer token', async () => {
  const { origin, line, issuer } = await run('dpop.mjs')
  expect(line).toBe(`DPoP: ${origin}/orders`)
  const client: oauth.Client = { client_id: 'c1' }
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  const bound = { ...claims(origin, 'orders:read'), cnf: { jkt: await DPoP.calculateThumbprint() } }
  const token = issuer.token({ claims: bound })
  const call = (): Promise<Response> =>
    oauth.protectedResourceRequest(token, 'GET', new URL(`${origin}/orders`), undefined, undefined, {
      DPoP,
      [oauth.allowInsecureRequests]: true
    })
  const error: unknown = await call().catch((reason: unknown) => reason)
  expect(oauth.isDPoPNonceError(error)).toBe(true)
  for (const _ of [1, 2]) {
    const response = await call()
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ orders: [], subject: 'alice', confirmedBy: ['dpop'] })
  }

  const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource"`
  for (const unbound of [undefined, issuer.token({ claims: claims(origin, 'orders:read') })]) {
    const refused = await get(`${origin}/orders`, unbound)
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toBe(
      `DPoP scope="orders:read", algs="ES256 EdDSA Ed25519 PS256 RS256", ${metadata}`
    )
  }
  const document = await get(`${origin}/.well-known/oauth-protected-resource`)
  expect(await document.json()).toMatchObject({ dpop_bound_access_tokens_required: true })

  const exited = once(child as ChildProcess, 'exit')
  child?.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})

describe('examples/mtls.mjs', () => {
  const authority = createCertificateAuthority()
  const client = authority.issue({ commonName: 'client', client: true })
  const other = authority.issue({ commonName: 'other', client: true })
  const description = 'The access token is bound to a different client certificate'
  const bound = (origin: string, from: TestIssuer): string => {
    const thumbprint = hash('sha256', new X509Certificate(client.cert).raw, 'base64url')
    return from.token({ claims: { ...claims(origin, 'orders:read'), cnf: { 'x5t#S256': thumbprint } } })
  }
  const challenge = (origin: string): string =>
    `Bearer error="invalid_token", error_description="${description}", scope="orders:read", resource_metadata="${origin}/.well-known/oauth-protected-resource"`

  test('accepts a bound token on a TLS connection with its certificate, and on no other connection', async () => {
    const { key, cert } = authority.issue({ commonName: 'localhost', sans: ['localhost'] })
    const folder = mkdtempSync(join(tmpdir(), 'mtls-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const [TLS_KEY, TLS_CERT] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    writeFileSync(TLS_KEY, key)
    writeFileSync(TLS_CERT, cert)
    const { origin, line, issuer } = await run('mtls.mjs', { TLS_KEY, TLS_CERT }, 'https')
    expect(line).toBe(`Mutual TLS: ${origin}/orders`)
    const ask = async (token: string, one?: CertificateAndKey): Promise<unknown[]> => {
      const dispatcher = new Agent({ connect: { ca: authority.cert, ...one } })
      onTestFinished(() => dispatcher.close())
      const headers = { authorization: `Bearer ${token}` }
      const { statusCode, headers: fields, body } = await request(`${origin}/orders`, { dispatcher, headers })
      return [statusCode, fields['www-authenticate'], await body.json()]
    }
    const refused = [401, challenge(origin), { error: 'invalid_token', error_description: description }]
    const token = bound(origin, issuer)
    expect(await ask(token, client)).toEqual([
      200,
      undefined,
      { orders: [], subject: 'alice', confirmedBy: ['certificate'] }
    ])
    expect(await ask(token, other)).toEqual(refused)
    expect(await ask(token)).toEqual(refused)
    expect(await ask(issuer.token({ claims: claims(origin, 'orders:read') }), client)).toEqual(refused)
  })

  for (const [proxy, status] of [
    ['127.0.0.1', 200],
    ['10.0.0.7', 401]
  ] as const) {
    test(`accepts the certificate field of nginx from a proxy at ${proxy} alone`, async () => {
      const { origin, issuer } = await run('mtls.mjs', { TRUSTED_PROXY: proxy })
      const authorization = `Bearer ${bound(origin, issuer)}`
      const headers = { authorization, 'x-ssl-cert': encodeURIComponent(client.cert) }
      const reply = await fetch(`${origin.replace('localhost', '127.0.0.1')}/orders`, { headers })
      expect([reply.status, reply.headers.get('www-authenticate')]).toEqual([
        status,
        status === 200 ? null : challenge(origin)
      ])
      const exited = once(child as ChildProcess, 'exit')
      child?.kill('SIGTERM')
      expect(await exited).toEqual([0, null])
    })
  }
})

test('examples/mcp.mjs tells a tool its caller, and refuses a tool whose scope is missing', async () => {
  const { origin, issuer } = await run('mcp.mjs')
  const call = async (name: string, scope: string): Promise<unknown[]> => {
    const reply = await fetch(origin, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${issuer.token({ claims: claims(origin, scope) })}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-06-18'
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } })
    })
    const { result } = (await reply.json()) as { result?: { content: [{ text: string }] } }
    return [reply.status, result?.content[0].text ?? reply.headers.get('www-authenticate')]
  }
  expect(await call('whoami', 'mcp')).toEqual([200, 'alice'])
  expect(await call('write_note', 'mcp notes:write')).toEqual([200, 'written'])
  expect(await call('write_note', 'mcp')).toEqual([403, expect.stringContaining('scope="mcp notes:write"')])
  expect(await call('whoami', 'notes:write')).toEqual([403, expect.stringContaining('scope="mcp"')])
  const authorization = `Bearer ${issuer.token({ claims: claims(origin, 'mcp') })}`
  for (const method of ['GET', 'HEAD']) {
    const unknown = await fetch(origin, { method, headers: { accept: 'text/event-stream' } })
    expect([unknown.status, unknown.headers.get('www-authenticate')]).toEqual([
      401,
      `Bearer scope="mcp", resource_metadata="${origin}/.well-known/oauth-protected-resource"`
    ])
    const listening = await fetch(origin, { method, headers: { accept: 'text/event-stream', authorization } })
    expect([listening.status, listening.headers.get('allow')]).toEqual([405, 'POST'])
  }
})

describe('examples/cookies.mjs', () => {
  const GOOD = { 'sec-fetch-site': 'same-origin' }

  test('moves a cookie into Authorization for requests of its own origin, and answers 403 to all others', async () => {
    const { origin, issuer } = await run('cookies.mjs')
    const cookie = `a=b; __Host-token=${issuer.token({ claims: claims(origin, 'orders:read') })}`
    const ask = async (headers: Record<string, string>, method = 'GET'): Promise<number> => {
      const { statusCode, body } = await request(`${origin}/orders`, { method: method as 'GET', headers })
      await body.dump()
      return statusCode
    }
    const public_ = { origin }
    const cases: readonly [method: string, fields: Record<string, string>, status: number][] = [
      ['GET', GOOD, 200],
      ['POST', GOOD, 200],
      ['GET', { 'sec-fetch-site': 'none' }, 200],
      ['HEAD', { 'sec-fetch-site': 'none' }, 200],
      ['POST', { 'sec-fetch-site': 'none' }, 403],
      ['DELETE', { 'sec-fetch-site': 'none' }, 403],
      ['GET', { 'sec-fetch-site': 'same-site' }, 403],
      ['GET', { 'sec-fetch-site': 'cross-site' }, 403],
      ['GET', { 'sec-fetch-site': 'Same-Origin' }, 403],
      ['GET', { 'sec-fetch-site': '' }, 403],
      ['POST', { 'sec-fetch-site': 'cross-site', ...public_ }, 403],
      ['POST', public_, 200],
      ['GET', public_, 200],
      ['POST', { origin: `${origin}.evil.example` }, 403],
      ['POST', { origin: `${origin}/` }, 403],
      ['POST', { origin: 'null' }, 403],
      ['GET', {}, 403],
      ['POST', {}, 403]
    ]
    for (const [method, fields, status] of cases)
      expect([method, fields, await ask({ ...fields, cookie }, method)]).toEqual([method, fields, status])

    const taken = await request(`${origin}/orders`, { headers: { ...GOOD, cookie } })
    expect([taken.headers['cache-control'], await taken.body.json()]).toEqual([
      'private',
      { orders: [], subject: 'alice' }
    ])
    // A client with a token of its own is no browser session, and needs no defence.
    const authorization = `Bearer ${issuer.token({ claims: claims(origin, 'orders:read') })}`
    expect(await ask({ authorization, cookie }, 'POST')).toBe(200)
    expect(await ask({ ...GOOD, cookie: 'other=1' })).toBe(401)
    expect(await ask({ ...GOOD, cookie: `${cookie}; ${cookie}` })).toBe(401)
    expect(await ask({ ...GOOD, cookie: '__Host-token=garbage' })).toBe(401)
  })

  test('decides about upgrades as about requests', async () => {
    const { origin, issuer } = await run('cookies.mjs')
    const token = issuer.token({ claims: claims(origin, 'orders:read') })
    const shake = (cookie: string, fields: Record<string, string>): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const headers = { Connection: 'Upgrade', Upgrade: 'example', Cookie: cookie, ...fields }
        const handshake = httpRequest(origin, { headers }).on('error', reject)
        handshake.on('response', (answer) => resolve(answer.resume().statusCode))
        handshake.on('upgrade', (answer, socket) => {
          socket.destroy()
          resolve(answer.statusCode)
        })
        handshake.end()
      })
    const cookie = `__Host-token=${token}`
    expect(await shake(cookie, { 'Sec-Fetch-Site': 'same-origin' })).toBe(101)
    expect(await shake(cookie, { Origin: origin })).toBe(101)
    expect(await shake(cookie, { 'Sec-Fetch-Site': 'cross-site', Origin: origin })).toBe(403)
    expect(await shake(cookie, { Origin: 'https://evil.example' })).toBe(403)
    expect(await shake(cookie, {})).toBe(403)
    expect(await shake('other=1', { 'Sec-Fetch-Site': 'same-origin' })).toBe(401)
  })
})

describe('examples/forwarded-token.mjs', () => {
  test('reads X-Forwarded-Access-Token from the proxy’s address, and replaces the client’s own field', async () => {
    const { origin, issuer } = await run('forwarded-token.mjs')
    const ask = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`${origin}/orders`, { headers })).status
    const token = issuer.token({ claims: claims(origin, 'orders:read') })
    expect(await ask({ 'x-forwarded-access-token': token })).toBe(200)
    expect(await ask({ 'x-forwarded-access-token': token, authorization: 'Bearer other' })).toBe(200)
    expect(await ask({ 'x-forwarded-access-token': 'garbage', authorization: `Bearer ${token}` })).toBe(401)
    // What oauth2-proxy sends with injectRequestHeaders needs no middleware.
    expect(await ask({ authorization: `Bearer ${token}` })).toBe(200)
    // What it sends with --pass-authorization-header is the ID token.
    const idToken = issuer.token({ header: { typ: 'JWT' }, claims: { ...claims(origin, ''), aud: 'oauth2-proxy' } })
    expect(await ask({ authorization: `Bearer ${idToken}` })).toBe(401)
  })

  test('does not read X-Forwarded-Access-Token from another address', async () => {
    const { origin, issuer } = await run('forwarded-token.mjs', { PROXY: '192.0.2.1' })
    const token = issuer.token({ claims: claims(origin, 'orders:read') })
    const { status } = await fetch(`${origin}/orders`, { headers: { 'x-forwarded-access-token': token } })
    expect(status).toBe(401)
  })
})

test('examples/step-up.mjs asks for a login by route and by amount, and for the details that the user agreed to', async () => {
  const { origin, issuer } = await run('step-up.mjs')
  const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource"`
  const now = Math.floor(Date.now() / 1000)
  const strong = { acr: 'urn:example:mfa', auth_time: now }
  const ask = async (method: string, path: string, more: object, body?: object): Promise<unknown[]> => {
    const token = issuer.token({ claims: { ...claims(origin, 'orders:read orders:write transfers'), ...more } })
    const reply = await fetch(`${origin}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) })
    })
    return [reply.status, reply.headers.get('www-authenticate')]
  }
  const challenge = (what: string, more = ''): string =>
    `Bearer error="insufficient_user_authentication", error_description="${what}", ${more}acr_values="urn:example:mfa", max_age="300", ${metadata}`
  const level = challenge('A different authentication level is required')

  expect(await ask('GET', '/orders', {})).toEqual([200, null])
  expect(await ask('DELETE', '/orders', {})).toEqual([401, level])
  expect(await ask('DELETE', '/orders', { ...strong, auth_time: now - 3600 })).toEqual([
    401,
    challenge('More recent authentication is required')
  ])
  expect(await ask('DELETE', '/orders', { scope: 'orders:read' })).toEqual([
    401,
    challenge('A different authentication level is required', 'scope="orders:write", ')
  ])
  expect(await ask('DELETE', '/orders', strong)).toEqual([204, null])

  expect(await ask('POST', '/transfers', {}, { amount: 100 })).toEqual([201, null])
  for (const amount of [101, 'a lot', undefined])
    expect(await ask('POST', '/transfers', {}, { amount })).toEqual([401, level])
  const agreed = { ...strong, authorization_details: [{ type: 'transfer', maxAmount: 150 }] }
  expect(await ask('POST', '/transfers', agreed, { amount: 150 })).toEqual([201, null])
  expect(await ask('POST', '/transfers', agreed, { amount: 151 })).toEqual([
    403,
    `Bearer error="insufficient_scope", error_description="The access token lacks a required authorization detail", ${metadata}`
  ])

  const exited = once(child as ChildProcess, 'exit')
  child?.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})
