/**
 * `oauth-resource-server issuer` as a process of its own: a standard client (oauth4webapi) gets tokens from it, APIs accept
 * them, and a browser's requests lead through registration, consent, PKCE and refresh. Needs `npm run build`.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as oauth from 'oauth4webapi'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { fromEnv } from '../../integrations/env.js'
import { instructions } from '../../src/cli/issuer/command.js'
import { revokeToken } from '../../src/cli/issuer/revocation.js'
import { createTokens } from '../../src/cli/issuer/tokens.js'
import type { Terminal } from '../../src/cli/terminal.js'
import {
  type Check,
  fresh,
  type ResourceRequest,
  type ResourceServer,
  ResourceServerError,
  resourceServer,
  scope,
  type WarningEvent
} from '../../src/index.js'
import { createDpopKey, createKey } from '../../test-kit/keys.js'
import { freePort } from '../support/ports.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const RESOURCE = 'http://localhost:3999'
const ARGUMENTS = ['--resource', RESOURCE, '--scope', 'orders:read', '--scope', 'orders:write', '--port', '0']
const CALLBACK = 'http://127.0.0.1:5999/callback'
const insecure = { [oauth.allowInsecureRequests]: true }

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** A copy of the package with its dependencies, from which oidc-provider cannot be found. */
let installed: string
beforeAll(async () => {
  installed = await mkdtemp(join(tmpdir(), 'issuer-'))
  const modules = join(installed, 'node_modules')
  const copy = join(modules, 'oauth-resource-server')
  await mkdir(copy, { recursive: true })
  await cp(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true })
  await cp(join(ROOT, 'package.json'), join(copy, 'package.json'))
  for (const name of ['jose', 'lru-cache', 'undici'])
    await symlink(join(ROOT, 'node_modules', name), join(modules, name))
})
afterAll(() => rm(installed, { recursive: true, force: true }))

interface Options {
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** The folder of the package that is run. Default: this repository, where oidc-provider is installed. */
  readonly from?: string
  readonly cwd?: string
}

function run({ args = ARGUMENTS, env = {}, from = ROOT, cwd = from }: Options): ChildProcess {
  const child = spawn(process.execPath, [join(from, 'dist/src/cli/main.js'), 'issuer', ...args], {
    cwd,
    env: { ...process.env, NODE_ENV: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  closing.push(() => child.kill('SIGKILL'))
  return child
}

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

async function runToEnd(options: Options): Promise<Ended> {
  const child = run(options)
  const [out, err, [code]] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    once(child, 'exit')
  ])
  return { code: code as number | null, out, err }
}

interface Running {
  readonly issuer: string
  readonly printed: string
  readonly client: { readonly id: string; readonly secret: string }
  /** The printed variables. */
  readonly variables: Readonly<Record<string, string>>
  /** Standard error up to now. */
  readonly err: () => string
  readonly child: ChildProcess
}

async function start(options: Options = {}): Promise<Running> {
  const child = run(options)
  let printed = ''
  let err = ''
  child.stderr?.on('data', (chunk) => {
    err += String(chunk)
  })
  for await (const chunk of (child.stdout as Readable).iterator({ destroyOnReturn: false })) {
    printed += String(chunk)
    if (printed.includes('Ctrl-C ends it.')) break
  }
  expect(printed, err).toContain('Ctrl-C ends it.')
  child.stdout?.resume()
  const variables = Object.fromEntries(
    [...printed.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value])
  )
  const [, id = '', secret = ''] = /-u (\w+):(\S+)/.exec(printed) ?? []
  return {
    issuer: variables['OAUTH_RS_ISSUER'] ?? '',
    printed,
    client: { id, secret },
    variables,
    err: () => err,
    child
  }
}

/** Starts a copy of the package that cannot find oidc-provider. */
const startBare = (args = ARGUMENTS): Promise<Running> =>
  start({ args, from: join(installed, 'node_modules/oauth-resource-server'), cwd: installed })

async function discover({ issuer }: Running): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer)
  const response = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure })
  return oauth.processDiscoveryResponse(url, response)
}

interface Asked {
  readonly auth?: oauth.ClientAuth
  readonly parameters?: Readonly<Record<string, string>>
  readonly DPoP?: oauth.DPoPHandle
}

async function getToken(
  running: Running,
  { auth = oauth.ClientSecretBasic(running.client.secret), parameters = {}, DPoP }: Asked = {}
): Promise<oauth.TokenEndpointResponse> {
  const as = await discover(running)
  const client = { client_id: running.client.id }
  const options = { ...insecure, ...(DPoP && { DPoP }) }
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, options)
  return oauth.processClientCredentialsResponse(as, client, response)
}

/** An API that is configured by the printed variables. */
function createApi({ variables }: Running): ResourceServer<string> {
  const api = resourceServer<string>(fromEnv(variables))
  closing.push(() => api.close())
  return api
}

/** `200 subject scopes`, or the status and the reason. */
async function ask(
  api: ResourceServer<string>,
  token: string,
  ...requirements: readonly Check<string>[]
): Promise<string> {
  try {
    const request: ResourceRequest = {
      method: 'GET',
      url: '/orders',
      fieldLines: (name) => (name === 'authorization' ? [`Bearer ${token}`] : [])
    }
    const access = await api.authorize(request, ...requirements)
    return `200 ${access?.subject} ${access?.scopes.join(' ')}`
  } catch (error) {
    if (!(error instanceof ResourceServerError)) throw error
    return `${error.status} ${error.reason}`
  }
}

/** The Express server of the README. @returns a function that returns its standard error so far */
async function startExpress(issuer: string, port: number): Promise<() => string> {
  const child = spawn(process.execPath, ['examples/express.mjs'], {
    cwd: ROOT,
    env: { ...process.env, ISSUER: issuer, RESOURCE: `http://localhost:${port}`, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  closing.push(() => child.kill('SIGKILL'))
  let printed = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    printed += chunk
  })
  await once(child.stdout, 'data')
  return () => printed
}

function introspect(
  { issuer, variables }: Running,
  token: string,
  secret = variables['OAUTH_RS_CLIENT_SECRET'] ?? ''
): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`api:${secret}`).toString('base64')}`
  return fetch(`${issuer}/introspect`, {
    method: 'POST',
    headers: { authorization },
    body: new URLSearchParams({ token })
  })
}

describe('client credentials', () => {
  test('the printed commands get a token, and the Express server of the README accepts it', async () => {
    const port = await freePort()
    const running = await start({
      args: ['--resource', `http://localhost:${port}`, '--scope', 'orders:read', '--port', '0']
    })
    await startExpress(running.issuer, port)
    const commands = running.printed.slice(running.printed.indexOf('TOKEN='), running.printed.indexOf('\n\nClients'))
    const { stdout } = await promisify(execFile)('sh', ['-c', commands.replace(/(curl -i \S+)/, '$1/orders')])
    expect(stdout).toMatch(/^HTTP\/1.1 200 OK/)
    expect(stdout).toContain('{"orders":[],"subject":"client"}')
  })

  test.each([
    ['client_secret_basic', oauth.ClientSecretBasic],
    ['client_secret_post', oauth.ClientSecretPost]
  ])('issues a JWT of an hour with the scopes that were asked for: %s', async (_name, auth) => {
    const running = await start()
    const answer = await getToken(running, {
      auth: auth(running.client.secret),
      parameters: { scope: 'orders:read', resource: RESOURCE }
    })
    expect(answer).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: 'orders:read' })
    expect(await ask(createApi(running), answer.access_token)).toBe('200 client orders:read')
  })

  test('RFC 8707 §2: the default resource is the first one, another spelling of its URL names it, an unknown one is invalid_target', async () => {
    const running = await start({ args: [...ARGUMENTS, '--resource', 'http://localhost:4000/api'] })
    const audience = async (parameters: Readonly<Record<string, string>>): Promise<unknown> => {
      const { access_token: token } = await getToken(running, { parameters })
      return (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { aud: unknown }).aud
    }
    expect(await audience({})).toBe(RESOURCE)
    expect(await audience({ resource: `${RESOURCE}/` })).toBe(RESOURCE)
    expect(await audience({ resource: 'http://localhost:4000/api' })).toBe('http://localhost:4000/api')
    await expect(audience({ resource: 'https://api.example.com' })).rejects.toMatchObject({
      error: 'invalid_target',
      error_description: expect.stringContaining(`resource must be one of ${RESOURCE} http://localhost:4000/api`)
    })
  })

  test('refuses a scope that was not given at the start: invalid_scope', async () => {
    const running = await start()
    await expect(getToken(running, { parameters: { scope: 'orders:read admin' } })).rejects.toMatchObject({
      error: 'invalid_scope',
      status: 400
    })
  })

  test('RFC 6749 §5.2: refuses a wrong secret and a request without one with 401 invalid_client and a challenge', async () => {
    const running = await start()
    const auths = [oauth.ClientSecretBasic('wrong'), oauth.ClientSecretPost('wrong'), oauth.None()]
    for (const auth of auths.slice(0, 2))
      await expect(getToken(running, { auth })).rejects.toMatchObject({ status: 401 })
    const response = await fetch(`${running.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'client_credentials' })
    })
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toMatch(/^Basic realm=/)
    expect(await response.json()).toMatchObject({ error: 'invalid_client' })
  })

  test.each([
    ['password', 'unauthorized_client'],
    ['', 'invalid_request']
  ])('refuses the grant %j of the printed client: %s', async (grant, error) => {
    const { issuer, client } = await start()
    const body = new URLSearchParams({ grant_type: grant, client_id: client.id, client_secret: client.secret })
    const response = await fetch(`${issuer}/token`, { method: 'POST', body })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error })
  })

  test('RFC 9449 §5: binds the token to the key of the proof, and accepts a proof once', async () => {
    const port = await freePort()
    const resource = `http://localhost:${port}`
    const running = await start({ args: ['--resource', resource, '--scope', 'orders:read', '--port', '0'] })
    await startExpress(running.issuer, port)
    const key = createDpopKey()
    const proof = key.proof({ method: 'POST', url: `${running.issuer}/token`, token: '', at: Date.now() / 1000 })
    const send = (): Promise<Response> =>
      fetch(`${running.issuer}/token`, {
        method: 'POST',
        headers: { dpop: proof },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: running.client.id,
          client_secret: running.client.secret
        })
      })
    const { access_token: token, token_type: type } = (await (await send()).json()) as oauth.TokenEndpointResponse
    expect(type).toBe('DPoP')
    const orders = new URL('/orders', resource)
    const dpop = key.proof({ method: 'GET', url: orders.href, token, at: Date.now() / 1000 })
    expect((await fetch(orders, { headers: { authorization: `DPoP ${token}`, dpop } })).status).toBe(200)
    expect((await fetch(orders, { headers: { authorization: `Bearer ${token}` } })).status).toBe(401)
    const replayed = await send()
    expect(replayed.status).toBe(400)
    expect(await replayed.json()).toEqual({
      error: 'invalid_dpop_proof',
      error_description: 'The DPoP proof was refused: the proof was used before.'
    })
  })

  test('RFC 9449: a standard client gets a DPoP token that introspection shows as bound', async () => {
    const running = await start()
    const keys = await oauth.generateKeyPair('ES256')
    const { access_token: token } = await getToken(running, { DPoP: oauth.DPoP({}, keys) })
    expect(await (await introspect(running, token)).json()).toMatchObject({
      token_type: 'DPoP',
      cnf: { jkt: expect.stringMatching(/^[\w-]{43}$/) }
    })
  })

  test.each([
    ['not a JWT', () => 'garbage'],
    ['for another address', (issuer: string) => proofFor(`${issuer}/introspect`)],
    ['for another method', (issuer: string) => proofFor(`${issuer}/token`, { htm: 'GET' })],
    ['old', (issuer: string) => proofFor(`${issuer}/token`, { iat: Math.floor(Date.now() / 1000) - 600 })],
    ['without jti', (issuer: string) => proofFor(`${issuer}/token`, { jti: undefined })]
  ])('RFC 9449 §5: refuses a proof that is %s', async (_name, proof) => {
    const { issuer, client } = await start()
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { dpop: proof(issuer) },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: client.id,
        client_secret: client.secret
      })
    })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: 'invalid_dpop_proof' })
  })
})

function proofFor(url: string, claims: Readonly<Record<string, unknown>> = {}): string {
  return createDpopKey().proof({ method: 'POST', url, token: '', at: Date.now() / 1000 }, claims)
}

describe('introspection (RFC 7662)', () => {
  test('answers the API about a JWT and about an unknown token', async () => {
    const running = await start()
    const { access_token: token } = await getToken(running)
    expect(await (await introspect(running, token)).json()).toMatchObject({
      active: true,
      token_type: 'Bearer',
      iss: running.issuer,
      aud: RESOURCE,
      client_id: 'client',
      scope: 'orders:read orders:write'
    })
    expect(await (await introspect(running, 'unknown')).json()).toEqual({ active: false })
  })

  test('§2.1: refuses a caller without the credentials of the API with 401', async () => {
    const running = await start()
    const { access_token: token } = await getToken(running)
    for (const response of [
      await introspect(running, token, 'wrong'),
      await fetch(`${running.issuer}/introspect`, { method: 'POST', body: new URLSearchParams({ token }) })
    ]) {
      expect(response.status).toBe(401)
      expect(await response.json()).not.toHaveProperty('active')
    }
  })

  test('--opaque: an API with the printed variables introspects the token', async () => {
    const running = await start({ args: [...ARGUMENTS, '--opaque'] })
    expect(running.variables).toMatchObject({ OAUTH_RS_TOKENS: 'opaque' })
    const { access_token: token } = await getToken(running)
    expect(token).not.toContain('.')
    const api = createApi(running)
    expect(await ask(api, token)).toBe('200 client orders:read orders:write')
    expect(await ask(api, 'unknown')).toBe('401 inactive')
  })

  test('forgets the oldest of more than 10,000 tokens, so that memory is bounded', () => {
    const tokens = createTokens('http://127.0.0.1:1', createKey('ES256', 'key'), true)
    const grant = { audience: RESOURCE, subject: 'alice', clientId: 'client', scopes: [], jkt: undefined }
    const issued = Array.from({ length: 10_001 }, () => tokens.issue(grant))
    expect(issued.slice(0, 2).map((token) => tokens.introspect(token)?.['active'])).toEqual([undefined, true])
  })
})

async function revoke(
  running: Running,
  token: string,
  auth = oauth.ClientSecretBasic(running.client.secret)
): Promise<Response> {
  return oauth.revocationRequest(await discover(running), { client_id: running.client.id }, auth, token, insecure)
}

describe.each([
  ['with oidc-provider', (args: string[]) => start({ args })],
  ['without oidc-provider', (args: string[]) => startBare(args)]
])('revocation (RFC 7009), %s', (_name, begin) => {
  test.each([
    ['a JWT', ARGUMENTS],
    ['an opaque token', [...ARGUMENTS, '--opaque']]
  ])(
    '§2.1: a standard client revokes %s, which is inactive from then on, and no other token is',
    async (_kind, args) => {
      const running = await begin(args)
      const [revoked, other] = [await getToken(running), await getToken(running)]
      await oauth.processRevocationResponse(await revoke(running, revoked.access_token))
      expect(await (await introspect(running, revoked.access_token)).json()).toEqual({ active: false })
      expect(await (await introspect(running, other.access_token)).json()).toMatchObject({ active: true })
    }
  )

  test('§2.1: refuses a wrong secret with 401, and the token stays active', async () => {
    const running = await begin(ARGUMENTS)
    const { access_token: token } = await getToken(running)
    const response = await revoke(running, token, oauth.ClientSecretBasic('wrong'))
    expect([response.status, await response.json()]).toEqual([
      401,
      expect.objectContaining({ error: 'invalid_client' })
    ])
    expect(await (await introspect(running, token)).json()).toMatchObject({ active: true })
  })

  test('§2.1: refuses a request without a token with invalid_request', async () => {
    const { issuer, client } = await begin(ARGUMENTS)
    const body = new URLSearchParams({ client_id: client.id, client_secret: client.secret })
    const response = await fetch(`${issuer}/revoke`, { method: 'POST', body })
    expect([response.status, await response.json()]).toEqual([
      400,
      expect.objectContaining({ error: 'invalid_request' })
    ])
  })

  test('§2.2: answers 200 for an unknown token, and for one that was revoked before', async () => {
    const running = await begin(ARGUMENTS)
    const { access_token: token } = await getToken(running)
    for (const one of ['unknown', token, token]) expect((await revoke(running, one)).status).toBe(200)
  })
})

test('RFC 7009 §2.1: the API sees with fresh() that a JWT was revoked, and without it accepts the token until exp', async () => {
  const running = await start()
  const api = createApi(running)
  const { access_token: token } = await getToken(running)
  await revoke(running, token)
  expect(await ask(api, token)).toBe('200 client orders:read orders:write')
  expect(await ask(api, token, fresh())).toBe('401 inactive')
})

test('RFC 7009 §2.1: refuses to revoke the token of another client', () => {
  const tokens = createTokens('http://127.0.0.1:1', createKey('ES256', 'key'), true)
  const token = tokens.issue({ audience: RESOURCE, subject: 'bob', clientId: 'shop', scopes: [], jkt: undefined })
  const client = { clientId: 'client', clientSecret: 'secret' }
  const form = new URLSearchParams({ client_id: 'client', client_secret: 'secret', token })
  expect(() => revokeToken({ headers: {} } as IncomingMessage, form, client, tokens)).toThrow('another client')
  expect(tokens.introspect(token)).toMatchObject({ active: true })
})

describe('POST /variant: a faulty copy of a token', () => {
  const variant = async (
    issuer: string,
    fields: Record<string, string>
  ): Promise<[number, Record<string, unknown>]> => {
    const response = await fetch(`${issuer}/variant`, { method: 'POST', body: new URLSearchParams(fields) })
    return [response.status, (await response.json()) as Record<string, unknown>]
  }

  test.each([
    ['JWT', ARGUMENTS, { expired: '401 expired', audience: '401 audience', scope: '403 insufficient_scope' }],
    [
      'opaque token',
      [...ARGUMENTS, '--opaque'],
      { expired: '401 inactive', audience: '401 audience', scope: '403 insufficient_scope' }
    ]
  ])('of a %s is refused by the API for its flaw alone', async (_kind, args, flaws) => {
    const running = await start({ args })
    expect(await discover(running)).toMatchObject({ development_variant_endpoint: `${running.issuer}/variant` })
    const { access_token: token } = await getToken(running)
    const api = createApi(running)
    expect(await ask(api, token, scope('orders:read'))).toMatch(/^200 /)
    for (const [change, answer] of Object.entries(flaws)) {
      const [status, body] = await variant(running.issuer, { token, change })
      expect([status, body['token_type']]).toEqual([200, 'Bearer'])
      expect(await ask(api, String(body['access_token']), scope('orders:read'))).toBe(answer)
    }
  })

  test('is bound to the key of the original', async () => {
    const running = await start()
    const DPoP = oauth.DPoP({}, await oauth.generateKeyPair('ES256'))
    const { access_token: token } = await getToken(running, { DPoP })
    const [, body] = await variant(running.issuer, { token, change: 'scope' })
    const [original, copy] = await Promise.all(
      [token, String(body['access_token'])].map(async (one) => (await introspect(running, one)).json())
    )
    expect(body['token_type']).toBe('DPoP')
    expect((copy as { cnf: object }).cnf).toEqual((original as { cnf: object }).cnf)
  })

  test.each([
    [
      'an unknown change',
      (token: string) => ({ token, change: 'constructor' }),
      'change must be one of expired, audience, scope.'
    ],
    ['no change', (token: string) => ({ token }), 'change must be one of expired, audience, scope.'],
    ['no token', () => ({ change: 'scope' }), 'token must be an active token of this issuer.'],
    [
      'a token of another issuer',
      () => ({ token: 'x', change: 'scope' }),
      'token must be an active token of this issuer.'
    ]
  ])('is refused for %s: invalid_request', async (_title, fields, description) => {
    const running = await start()
    const { access_token: token } = await getToken(running)
    expect(await variant(running.issuer, fields(token) as Record<string, string>)).toEqual([
      400,
      { error: 'invalid_request', error_description: description }
    ])
  })

  test('is refused for an expired copy: no token comes to life again', async () => {
    const running = await start()
    const { access_token: token } = await getToken(running)
    const [, body] = await variant(running.issuer, { token, change: 'expired' })
    const [status] = await variant(running.issuer, { token: String(body['access_token']), change: 'scope' })
    expect(status).toBe(400)
  })
})

describe('an API that trusts the development issuer', () => {
  test('warns at ready(), on the channel and in health()', async () => {
    const api = createApi(await start())
    const warnings: string[] = []
    const listener = (event: unknown): void => void warnings.push((event as WarningEvent).message)
    subscribe('oauth-resource-server:warning', listener)
    try {
      await api.ready()
    } finally {
      unsubscribe('oauth-resource-server:warning', listener)
    }
    expect(warnings).toEqual([expect.stringContaining('this is the development issuer')])
    expect(api.health().issuers[0]?.warnings).toEqual(warnings)
  })

  test('prints it without a logger, once', async () => {
    const port = await freePort()
    const running = await start({ args: ['--resource', `http://localhost:${port}`, '--port', '0'] })
    const printed = await startExpress(running.issuer, port)
    await vi.waitFor(() => expect(printed()).toContain('this is the development issuer'), 20_000)
    const { access_token: token } = await getToken(running, {})
    const headers = { authorization: `Bearer ${token}` }
    expect((await fetch(`http://localhost:${port}/orders`, { headers })).status).toBe(403)
    await vi.waitFor(() => expect(printed()).toContain('insufficient_scope'), 20_000)
    expect(printed().match(/\[OAUTH_RS_MISCONFIGURED\] Warning: [^\n]*development issuer/g)).toHaveLength(1)
  })
})

describe('with oidc-provider', () => {
  /** A browser's cookies. */
  class Browser {
    private readonly cookies = new Map<string, string>()

    async open(url: string, init: RequestInit = {}): Promise<Response> {
      const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = await fetch(url, {
        ...init,
        redirect: 'manual',
        headers: { ...(init.headers as Record<string, string>), cookie }
      })
      for (const line of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        if (value === '') this.cookies.delete(name)
        else this.cookies.set(name, value)
      }
      return response
    }

    /** Follows redirects up to a page, or up to the client's address. */
    async follow(response: Response, base: string): Promise<{ url: URL; response: Response }> {
      const url = new URL(response.headers.get('location') ?? '', base)
      if (url.href.startsWith(CALLBACK)) return { url, response }
      const next = await this.open(url.href)
      return next.status === 302 || next.status === 303 ? this.follow(next, base) : { url, response: next }
    }
  }

  async function register({ issuer }: Running): Promise<oauth.Client> {
    const response = await fetch(`${issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_name: 'Shop & <b>more</b>',
        redirect_uris: [CALLBACK],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none'
      })
    })
    expect(response.status).toBe(201)
    return (await response.json()) as oauth.Client
  }

  interface Flow {
    readonly browser: Browser
    readonly page: { url: URL; response: Response }
    readonly verifier: string
  }

  async function authorize(running: Running, client: oauth.Client, more: Record<string, string> = {}): Promise<Flow> {
    const verifier = oauth.generateRandomCodeVerifier()
    const query = new URLSearchParams({
      client_id: client.client_id,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'orders:read',
      resource: `${RESOURCE}/`,
      state: 'state',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...more
    })
    const browser = new Browser()
    const first = await browser.open(`${running.issuer}/authorize?${query}`)
    return { browser, page: await browser.follow(first, running.issuer), verifier }
  }

  async function decide(running: Running, { browser, page }: Flow, decision: string, origin = running.issuer) {
    const answer = await browser.open(page.url.href, {
      method: 'POST',
      headers: { origin },
      body: new URLSearchParams({ decision })
    })
    return answer.status === 303 ? browser.follow(answer, running.issuer) : { url: page.url, response: answer }
  }

  async function exchange(running: Running, client: oauth.Client, flow: Flow): Promise<oauth.TokenEndpointResponse> {
    const { url } = await decide(running, flow, 'allow')
    const as = await discover(running)
    const parameters = oauth.validateAuthResponse(as, client, url, 'state')
    const response = await oauth.authorizationCodeGrantRequest(
      as,
      client,
      oauth.None(),
      parameters,
      CALLBACK,
      flow.verifier,
      insecure
    )
    return oauth.processAuthorizationCodeResponse(as, client, response)
  }

  test.each([
    ['JWTs', []],
    ['opaque tokens', ['--opaque']]
  ])(
    'registers a client, asks the user for consent, exchanges the code with PKCE and refreshes: %s',
    async (_name, more) => {
      const running = await start({ args: [...ARGUMENTS, '--user', 'bob', ...more] })
      const client = await register(running)
      const flow = await authorize(running, client)
      const page = await flow.page.response.text()
      expect(page).toContain('Shop &#38; &#60;b&#62;more&#60;/b&#62; asks for access')
      expect(page).toContain('<strong>bob</strong>')
      expect(page).toContain('<code>orders:read</code>')
      expect(flow.page.response.headers.get('content-security-policy')).toContain(
        "form-action 'self' http://127.0.0.1:5999;"
      )
      const first = await exchange(running, client, flow)
      const api = createApi(running)
      expect(await ask(api, first.access_token)).toBe('200 bob orders:read')
      expect(await (await introspect(running, first.access_token)).json()).toMatchObject({
        active: true,
        sub: 'bob',
        client_id: client.client_id,
        aud: RESOURCE,
        scope: 'orders:read'
      })
      const as = await discover(running)
      const refreshed = await oauth.processRefreshTokenResponse(
        as,
        client,
        await oauth.refreshTokenGrantRequest(as, client, oauth.None(), first.refresh_token ?? '', insecure)
      )
      expect(refreshed.access_token).not.toBe(first.access_token)
      expect(await ask(api, refreshed.access_token)).toBe('200 bob orders:read')
    }
  )

  test('refuses the exchange of a code with another verifier (RFC 7636 §4.6)', async () => {
    const running = await start()
    const client = await register(running)
    const flow = await authorize(running, client)
    await expect(exchange(running, client, { ...flow, verifier: 'x'.repeat(43) })).rejects.toMatchObject({
      error: 'invalid_grant'
    })
  })

  test('tells the client that the user denied: access_denied', async () => {
    const running = await start()
    const flow = await authorize(running, await register(running))
    const { url } = await decide(running, flow, 'deny')
    expect(url.searchParams.get('error')).toBe('access_denied')
  })

  test('refuses consent from the form of another site, and from another browser', async () => {
    const running = await start()
    const flow = await authorize(running, await register(running))
    expect((await decide(running, flow, 'allow', 'https://evil.example')).response.status).toBe(403)
    expect((await decide(running, { ...flow, browser: new Browser() }, 'allow')).response.status).toBe(400)
  })

  test('refuses to register a client that would get tokens without consent: any page of any site can register one', async () => {
    const { issuer } = await start()
    const response = await fetch(`${issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: 'https://evil.example' },
      body: JSON.stringify({ grant_types: ['client_credentials'], response_types: [], redirect_uris: [] })
    })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      error: 'invalid_client_metadata',
      error_description: expect.stringContaining('grant_types')
    })
  })

  test('RFC 8707 §2: tells the client that the resource is unknown: invalid_target', async () => {
    const running = await start()
    const flow = await authorize(running, await register(running), { resource: 'https://api.example.com' })
    expect(flow.page.url.searchParams.get('error')).toBe('invalid_target')
  })

  test('shows a page for an unknown client_id', async () => {
    const { issuer } = await start()
    const response = await fetch(`${issuer}/authorize?client_id=%3Cb%3E&response_type=code&scope=orders:read`)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toContain('text/html')
    const body = await response.text()
    expect(body).toContain('This did not work')
    expect(body).not.toContain('<b>')
  })

  test('is loaded from the working directory, for a package that npx keeps elsewhere', async () => {
    const project = await mkdtemp(join(tmpdir(), 'project-'))
    closing.push(() => rm(project, { recursive: true, force: true }))
    await mkdir(join(project, 'node_modules'))
    await symlink(join(ROOT, 'node_modules/oidc-provider'), join(project, 'node_modules/oidc-provider'))
    const running = await start({ from: join(installed, 'node_modules/oauth-resource-server'), cwd: project })
    expect((await register(running)).client_id).toEqual(expect.any(String))
  })
})

describe('without oidc-provider', () => {
  test('issues tokens by client credentials, and an API accepts them', async () => {
    const running = await startBare()
    const { access_token: token } = await getToken(running)
    expect(await ask(createApi(running), token)).toBe('200 client orders:read orders:write')
  })

  test('names the command that installs it, at the start and at the endpoints that need it', async () => {
    const running = await startBare()
    expect(running.printed).toContain('need: npm i -D oidc-provider')
    for (const [method, path] of [
      ['GET', '/authorize?client_id=x'],
      ['POST', '/register']
    ]) {
      const response = await fetch(running.issuer + path, { method: method ?? '' })
      expect(response.status).toBe(404)
      expect(await response.text()).toContain('npm i -D oidc-provider')
    }
    expect(await discover(running)).not.toHaveProperty('registration_endpoint')
  })
})

describe('the server', () => {
  test('uses new keys and secrets at each start', async () => {
    const [first, second] = await Promise.all([start(), start()])
    const keyOf = async ({ issuer }: Running): Promise<unknown> => (await fetch(`${issuer}/jwks`)).json()
    expect(await keyOf(first)).not.toEqual(await keyOf(second))
    expect(first.client.secret).toMatch(/^[\w-]{43}$/)
    expect(first.client.secret).not.toBe(second.client.secret)
    expect(first.variables['OAUTH_RS_CLIENT_SECRET']).not.toBe(second.variables['OAUTH_RS_CLIENT_SECRET'])
  })

  test('publishes no private member of its key', async () => {
    const { issuer } = await start()
    const { keys } = (await (await fetch(`${issuer}/jwks`)).json()) as { keys: object[] }
    expect(keys.map((key) => Object.keys(key).toSorted())).toEqual([['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']])
  })

  test('answers scripts of other origins (CORS), also with errors', async () => {
    const { issuer } = await start()
    const preflight = await fetch(`${issuer}/token`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' }
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-headers')).toMatch(/Authorization, Content-Type, DPoP/)
    for (const path of ['/.well-known/oauth-authorization-server', '/jwks', '/nothing'])
      expect((await fetch(issuer + path)).headers.get('access-control-allow-origin')).toBe('*')
    for (const path of ['/token', '/register', '/introspect'])
      expect((await fetch(issuer + path, { method: 'POST' })).headers.get('access-control-allow-origin')).toBe('*')
  })

  test('refuses a request by another name than its own, such as a rebound one, with its URL', async () => {
    const { issuer } = await start()
    const response = await fetch(issuer.replace('127.0.0.1', 'localhost'))
    expect(response.status).toBe(421)
    expect(await response.text()).toContain(issuer)
  })

  test('refuses a body of more than 64 KiB with 413', async () => {
    const { issuer } = await start()
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'x'.repeat(70_000)
    })
    expect(response.status).toBe(413)
  })

  test('survives requests that are not HTTP, OAuth or complete', async () => {
    const running = await start()
    const { host, hostname, port } = new URL(running.issuer)
    const head = (line: string, body = ''): string =>
      `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    const inputs = [
      '\0\x01\x02\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
      head('GET http://[::1/'),
      head('GET //'),
      head('GET /%'),
      head('GET /consent/%00'),
      head('GET /consent/__proto__'),
      head('POST /consent/x', 'decision=allow'),
      head('GET /authorize?resource=%'),
      head('GET /authorize/x?%'),
      head('POST /token', '%=%&&=&grant_type=client_credentials&client_id=%'),
      head('POST /token', 'client_id=client&client_id=client'),
      head('POST /token', 'client_id=__proto__&client_secret=x&grant_type=__proto__'),
      head('POST /token', 'client_id=unknown&grant_type=refresh_token&refresh_token=%00'),
      head('POST /introspect', 'token=a&token=b'),
      head('POST /register', '{'),
      head('DELETE /token'),
      'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc',
      `POST /token HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Basic !!!\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nabc`
    ]
    for (const input of inputs) {
      const socket = connect(Number(port), hostname)
      socket.on('error', () => undefined)
      socket.end(input, 'latin1')
      socket.resume()
      await once(socket, 'close')
    }
    const { access_token: token } = await getToken(running)
    expect(await ask(createApi(running), token)).toMatch(/^200/)
    expect(running.err()).toBe('')
  })

  test('ends with exit code 0 at Ctrl-C, while a client is connected', async () => {
    const { issuer, child } = await start()
    const { hostname, port } = new URL(issuer)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([0, null])
    socket.destroy()
  })

  test('--host: warns about a host that other machines reach, and prints the variable that permits plain http to it', () => {
    const settings = {
      resources: [RESOURCE],
      scopes: [],
      user: 'alice',
      host: 'issuer',
      issuer: undefined,
      port: 4010,
      opaque: false
    }
    const issuer = 'http://issuer:4010'
    const credentials = { clientId: 'client', clientSecret: 'secret' }
    const running = { issuer, client: credentials, api: credentials }
    const terminal = { isTTY: false, noColor: false } as Terminal
    const printed = instructions(running, settings, false, terminal)
    expect(printed).toContain('Anyone who can reach issuer:4010 gets tokens for your API.')
    expect(printed).toContain('export OAUTH_RS_INSECURE_HOSTS=issuer:4010')
    const local = { ...running, issuer: 'http://[::1]:4010' }
    const printedLocally = instructions(local, { ...settings, host: '::1' }, false, terminal)
    expect(printedLocally).not.toContain('Anyone')
    expect(printedLocally).not.toContain('INSECURE_HOSTS')
    expect(printedLocally).toContain("curl -s 'http://[::1]:4010/token'")
    const code = `# or in code: resourceServer({ resource: "${RESOURCE}", issuers: ["http://[::1]:4010"] })`
    expect(printedLocally).toContain(`\n${code}\n`)
    expect(printed).not.toContain('in code')
    expect(instructions(local, { ...settings, host: '::1', opaque: true }, false, terminal)).not.toContain('in code')
    const named = { ...settings, host: '0.0.0.0', issuer: 'http://localhost:4010' }
    const printedInContainer = instructions({ ...running, issuer: named.issuer }, named, false, terminal)
    expect(printedInContainer).toContain('Anyone who can reach this machine gets tokens for your API.')
    expect(printedInContainer).not.toContain('INSECURE_HOSTS')
    expect(printedInContainer).toContain('export OAUTH_RS_ISSUER=http://localhost:4010')
  })

  test('quotes a resource for the shell', async () => {
    const { printed } = await start({ args: ['--resource', "http://localhost:1/?a=b&c='$(id)", '--port', '0'] })
    expect(printed).toContain(`export OAUTH_RS_RESOURCE='http://localhost:1/?a=b&c='\\''$(id)'`)
  })
})

describe('bad input', () => {
  test.each([
    [[], 'issuer needs the URL of your API: --resource http://localhost:3000'],
    [['--resource', 'orders'], '--resource "orders" is not an http(s) URL: write --resource http://localhost:3000'],
    [['--resource', 'ftp://localhost'], 'is not an http(s) URL'],
    [['--resource', 'http://localhost:3000#x'], 'has a fragment: remove the #'],
    [['--resource', RESOURCE, '--scope', 'a"b'], '--scope "a\\"b" is not a scope'],
    [['--resource', RESOURCE, '--user', ' '], '--user is empty: give a name, as --user alice'],
    [['--resource', RESOURCE, '--port', 'http'], '--port "http" is not a port: give a number from 0 to 65535'],
    [['--resource', RESOURCE, '--port', '65536'], 'is not a port'],
    [['--resource', RESOURCE, '--host', '0.0.0.0'], 'is not an address that an API can call'],
    [['--resource', RESOURCE, '--host', '', '--issuer', 'http://localhost:4010'], 'is not an address'],
    [['--resource', RESOURCE, '--issuer', 'http://localhost:4010/'], 'is not an http origin: write --issuer http://'],
    [['--resource', RESOURCE, '--issuer', 'https://localhost'], 'is not an http origin'],
    [['--resource', RESOURCE, '--issuer', 'localhost:4010'], 'is not an http origin'],
    [['--resource', RESOURCE, '--host', 'http://x'], 'is not a host: give a name in lower case or an address'],
    [['--resource', RESOURCE, '--opaqe'], 'issuer has no such option. Did you mean --opaque?'],
    [['--resource'], '--resource needs a value'],
    [['--resource', RESOURCE, 'more'], 'issuer takes no argument without --, and got "more"']
  ])('%j is a sentence on standard error, and exit code 2', async (args, message) => {
    const { code, out, err } = await runToEnd({ args })
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
    expect(err).not.toMatch(/^ +at /m)
  })

  test('a port that is taken is a sentence that says what to do, and exit code 1', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    closing.push(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    expect(await runToEnd({ args: ['--resource', RESOURCE, '--port', String(port)] })).toEqual({
      code: 1,
      out: '',
      err: `Port ${port} of 127.0.0.1 is taken: end the program that listens there, or give another: --port ${port + 1}\n`
    })
  })

  test('a host that is not an address of this machine is a sentence, and exit code 1', async () => {
    const { code, err } = await runToEnd({ args: ['--resource', RESOURCE, '--port', '0', '--host', '192.0.2.1'] })
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('This machine has no address "192.0.2.1"') })
  })

  test('does not start with NODE_ENV=production', async () => {
    expect(await runToEnd({ env: { NODE_ENV: 'production' } })).toEqual({
      code: 1,
      out: '',
      err: expect.stringContaining('issuer does not start with NODE_ENV=production')
    })
  })

  test('--help lists the options', async () => {
    const { code, out } = await runToEnd({ args: ['--help'] })
    expect(code).toBe(0)
    for (const option of ['resource', 'scope', 'opaque', 'port', 'user', 'host']) expect(out).toContain(`--${option}`)
  })
})
