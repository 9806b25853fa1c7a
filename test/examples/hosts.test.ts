/**
 * examples/hosts, each run as its reader would run it, on the real host, against an issuer on a real socket. NestJS, GraphQL and tRPC
 * are there for everybody; Bun, Deno and Next.js after `npm install --prefix .ci/hosts`, which CI does: without, they are skipped.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { createTRPCClient, httpBatchLink, TRPCClientError } from '@trpc/client'
import { createClient } from 'graphql-ws'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type CloseEvent, WebSocket } from 'ws'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { freePort } from '../support/ports.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const HOSTS = join(ROOT, 'examples/hosts')
const INSTALLED = join(ROOT, '.ci/hosts/node_modules')
/** Beside what is installed, so that it is found from there. */
const NEXT = join(ROOT, '.ci/hosts/.tmp')
const NEST = join(ROOT, 'test/.tmp/nest')
const isInstalled = existsSync(join(INSTALLED, '.bin/next'))
const bin = (name: string): string => join(INSTALLED, '.bin', name)

const run = promisify(execFile)
/** Seconds: the default of `clockTolerance`. */
const CLOCK_TOLERANCE = 30

interface Running {
  readonly as: TestIssuer
  readonly origin: string
  readonly line: string
}

const running: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of running.splice(0).reverse()) await end()
})

/** Starts an issuer, then the host against it, and waits for a line that names its port. */
async function start(
  command: string,
  args: (port: number) => readonly string[],
  {
    cwd = ROOT,
    env = {},
    isDown = false
  }: { cwd?: string; env?: Readonly<Record<string, string>>; isDown?: boolean } = {}
): Promise<Running> {
  const as = await createTestIssuer()
  const issuer = await as.listen()
  if (isDown) as.fail('metadata', 503)
  running.push(() => as.close())
  const port = await freePort()
  const origin = `http://localhost:${port}`
  as.options({ resource: origin })
  const child = spawn(command, args(port), {
    cwd,
    env: {
      PATH: process.env.PATH,
      // Refusals are what these tests ask for.
      NODE_NO_WARNINGS: '1',
      HOME: process.env.HOME,
      NEXT_TELEMETRY_DISABLED: '1',
      ISSUER: issuer,
      RESOURCE: origin,
      PORT: String(port),
      ...env
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    // What it starts itself is ended with it.
    detached: true
  })
  running.push(() => end(child))
  // Several lines may come at once, so nobody must be away between two of them.
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (one) => one.includes(String(port)) && resolve(one))
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}`)))
  })
  await answers(origin)
  return { as, origin, line }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  try {
    process.kill(-(child.pid as number), 'SIGKILL')
  } catch {
    child.kill('SIGKILL')
  }
  await exited
}

async function answers(origin: string): Promise<void> {
  while (!(await fetch(origin).catch(() => undefined))) await sleep(20)
}

interface Answer {
  readonly status: number
  readonly challenge: string | null
  readonly body: unknown
}

async function ask(url: string, token?: string, init: RequestInit = {}): Promise<Answer> {
  const headers = { ...(init.headers as object), ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  const response = await fetch(url, { ...init, headers })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    body: isJson ? JSON.parse(text) : text
  }
}

/** What every host does with `GET /orders`, and with the metadata. */
async function requireContract({ as, origin }: Running): Promise<void> {
  const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource"`
  const document = await ask(`${origin}/.well-known/oauth-protected-resource`)
  expect(document).toMatchObject({ status: 200, body: { resource: origin, authorization_servers: [as.issuer] } })
  // An outage is nobody's bad token.
  as.fail('metadata', 503)
  const token = as.token({ scope: 'orders:read' })
  expect(await ask(`${origin}/orders`, token)).toMatchObject({ status: 503, challenge: null })
  as.recover()
  // Within the back-off after a failure nothing is asked.
  let good = await ask(`${origin}/orders`, token)
  while (good.status === 503) {
    await sleep(100)
    good = await ask(`${origin}/orders`, token)
  }
  expect(good).toMatchObject({ status: 200, challenge: null, body: { orders: [], subject: 'user-1' } })
  expect(await ask(`${origin}/orders`, token)).toEqual(good)

  expect(await ask(`${origin}/orders`)).toMatchObject({
    status: 401,
    challenge: expect.stringContaining(metadata),
    body: ''
  })
  const lacking = await ask(`${origin}/orders`, as.token({ scope: 'other' }))
  expect(lacking).toMatchObject({ status: 403, body: { error: 'insufficient_scope' } })
  expect(lacking.challenge).toContain('error="insufficient_scope"')
  expect(lacking.challenge).toContain('scope="orders:read"')
  for (const bad of [as.expired(), as.wrongAudience(), as.tampered(), as.unknownKey(), as.unsigned(), 'opaque']) {
    const refused = await ask(`${origin}/orders`, bad)
    expect(refused).toMatchObject({ status: 401, body: { error: 'invalid_token' } })
    expect(refused.challenge).toContain('error="invalid_token"')
    expect(refused.challenge).toContain(metadata)
  }
  const twice = await ask(`${origin}/orders`, undefined, {
    headers: { authorization: `Bearer ${token}, Bearer ${token}` }
  })
  expect(twice.status).toBe(400)
}

/** What an operation yields, or its errors, or the code that closes its connection. */
async function operate(
  origin: string,
  query: string,
  { given, sent }: { given?: unknown; sent?: string }
): Promise<unknown> {
  class Impl extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols, { headers: sent === undefined ? {} : { authorization: `Bearer ${sent}` } })
    }
  }
  const client = createClient({
    url: `${origin.replace('http', 'ws')}/graphql`,
    webSocketImpl: Impl,
    connectionParams: given === undefined ? {} : { authorization: given },
    retryAttempts: 0
  })
  running.push(async () => client.dispose())
  try {
    const results: unknown[] = []
    for await (const { data, errors } of client.iterate({ query })) results.push(...(errors ?? [data]))
    return results
  } catch (error) {
    return (error as CloseEvent).code ?? error
  }
}

/** What subscriptions of graphql-ws do with tokens in the handshake and in `connectionParams`. */
async function requireSubscriptions({ as, origin }: Running): Promise<void> {
  const good = as.token({ scope: 'orders:read' })
  // Accepted for three more seconds, within the leeway.
  const now = Math.floor(Date.now() / 1000)
  const tokens = [as.token({ iat: now - 3600, exp: now - CLOCK_TOLERANCE + 3 }), good]
  const lasting = createClient({
    url: `${origin.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    lazy: false,
    retryWait: async () => undefined,
    connectionParams: () => ({ authorization: `Bearer ${tokens.shift()}` })
  })
  running.push(async () => lasting.dispose())
  const events: unknown[] = []
  const again = new Promise<void>((resolve) => {
    lasting.on('closed', (event) => events.push((event as CloseEvent).code))
    lasting.on('connected', () => events.push('connected') === 3 && resolve())
  })

  const subscribe = (how: { given?: unknown; sent?: string }): Promise<unknown> =>
    operate(origin, 'subscription { orders }', how)
  expect(await subscribe({ given: `Bearer ${good}` })).toEqual([{ orders: 'orders of user-1' }])
  expect(await subscribe({ sent: good })).toEqual([{ orders: 'orders of user-1' }])
  expect(await operate(origin, '{ me }', { sent: good })).toEqual([{ me: 'user-1' }])
  expect(await subscribe({ sent: good, given: `Bearer ${good}` })).toBe(4400)
  expect(await subscribe({})).toBe(4401)
  for (const bad of [as.expired(), as.wrongAudience(), as.tampered(), as.unsigned(), 'opaque'])
    expect(await subscribe({ given: `Bearer ${bad}` })).toBe(4401)
  for (const given of ['', 7, null, [`Bearer ${good}`], { token: good }])
    expect([4400, 4401]).toContain(await subscribe({ given }))
  const lacking = as.token({ scope: 'other' })
  expect(await subscribe({ given: `Bearer ${lacking}` })).toMatchObject([{ message: expect.stringContaining('scope') }])
  expect(await operate(origin, '{ me }', { given: `Bearer ${lacking}` })).toEqual([{ me: 'user-1' }])
  await again
  expect(events).toEqual(['connected', 4403, 'connected'])
}

describe('NestJS', () => {
  beforeAll(async () => {
    rmSync(NEST, { recursive: true, force: true })
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    await run(process.execPath, [tsc, '-p', HOSTS, '--noEmit', 'false', '--outDir', NEST])
  })
  afterAll(() => rmSync(NEST, { recursive: true, force: true }))

  test('passes the scenario of all hosts, and opens what is public', async () => {
    const host = await start(process.execPath, () => [join(NEST, 'nest.js')])
    await requireContract(host)
    const { as, origin } = host
    expect(await ask(`${origin}/me`)).toMatchObject({ status: 401 })
    expect(await ask(`${origin}/me`, as.token({ scope: 'other' }))).toMatchObject({ body: { subject: 'user-1' } })
    expect(await ask(`${origin}/health`)).toMatchObject({ status: 200, body: { status: 'ok' } })
    expect(await ask(`${origin}/none`)).toMatchObject({ status: 404 })
    const remove = (roles: readonly string[]): Promise<Answer> =>
      ask(`${origin}/orders/1`, as.token({ scope: 'orders:write', roles }), { method: 'DELETE' })
    expect(await remove(['orders-admin'])).toMatchObject({ status: 204 })
    expect(await remove(['viewer'])).toMatchObject({ status: 403 })
  })

  test('protects resolvers', async () => {
    await requireGraphql(await start(process.execPath, () => [join(NEST, 'nest-graphql.js')]))
  })

  test('lets subscriptions of resolvers connect with a token, closes them with it, and their clients connect again', async () => {
    await requireSubscriptions(await start(process.execPath, () => [join(NEST, 'nest-subscriptions.js')]))
  })

  test('protects a gateway', async () => {
    const { as, origin } = await start(process.execPath, () => [join(NEST, 'nest-sockets.js')])
    const open = (token?: string): WebSocket => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const client = new WebSocket(`${origin.replace('http', 'ws')}/sockets`, { headers })
      client.on('error', () => undefined)
      running.push(async () => client.terminate())
      return client
    }
    const [, refused] = await once(open(), 'unexpected-response')
    expect(refused.statusCode).toBe(401)
    const client = open(as.token({ scope: 'orders:read' }))
    await once(client, 'open')
    client.send(JSON.stringify({ event: 'orders' }))
    expect(String(((await once(client, 'message')) as [Buffer])[0])).toBe(
      '{"event":"orders","data":"orders of user-1"}'
    )
  })
})

/** What every GraphQL example does with `me`, and with `orders`, which needs `orders:read`. */
async function requireGraphql({ as, origin }: Running): Promise<void> {
  const query = (text: string, token?: string): Promise<Answer> =>
    ask(`${origin}/graphql`, token, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ query: text })
    })
  expect(await query('{ me orders }', as.token({ scope: 'orders:read' }))).toMatchObject({
    status: 200,
    body: { data: { me: 'user-1', orders: 'orders of user-1' } }
  })
  for (const token of [undefined, as.expired()])
    expect(await query('{ me }', token)).toMatchObject({
      status: 401,
      challenge: expect.stringContaining('resource_metadata=')
    })
  const lacking = await query('{ orders }', as.token({ scope: 'x' }))
  expect(lacking.status).toBe(403)
  expect(JSON.stringify(lacking.body)).not.toContain('orders of')
  const document = await ask(`${origin}/.well-known/oauth-protected-resource`)
  expect(document).toMatchObject({ status: 200, body: { resource: origin } })
}

describe('AWS Lambda', () => {
  const event = (token?: string): object => ({
    version: '2.0',
    rawPath: '/orders',
    rawQueryString: '',
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    requestContext: { http: { method: 'GET', path: '/orders', sourceIp: '192.0.2.1' } }
  })

  test.each([
    ['fetches the keys before the first call', false],
    ['starts with keys in the bundle, and fetches nothing', true]
  ])('%s', async (_, isBundled) => {
    const as = await createTestIssuer()
    await as.listen()
    running.push(() => as.close())
    as.options({ resource: 'https://api.example.com' })
    const { jwks_uri: uri } = (await (await fetch(`${as.issuer}/.well-known/oauth-authorization-server`)).json()) as {
      jwks_uri: string
    }
    const folder = mkdtempSync(join(tmpdir(), 'lambda-'))
    running.push(async () => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'jwks.json'), await (await fetch(uri)).text())
    const before = as.requests.length
    const program = `
      import { handler } from ${JSON.stringify(pathToFileURL(join(HOSTS, 'lambda.mjs')).href)}
      for (const event of ${JSON.stringify([event(as.token({ scope: 'orders:read' })), event()])}) {
        const { statusCode, headers } = await handler(event, {})
        console.log(statusCode, headers['www-authenticate'] ?? '')
      }
      process.exit()`
    const env = { PATH: process.env.PATH, NODE_NO_WARNINGS: '1', ISSUER: as.issuer }
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], {
      cwd: HOSTS,
      env: isBundled ? { ...env, JWKS_FILE: join(folder, 'jwks.json') } : env
    })
    expect(stdout).toMatch(/^200 \n401 Bearer scope="orders:read"/)
    expect(as.requests.length > before).toBe(!isBundled)
  })
})

describe('node:http and WebSockets', () => {
  test.each([
    ['a frame without a mask', Buffer.from([0x81, 0x01, 0x61])],
    ['a frame with reserved bits', Buffer.from([0xf1, 0x80, 0, 0, 0, 0])],
    ['a text that is not UTF-8', Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff])],
    ['half a frame, then nothing', Buffer.from([0x81])]
  ])('the WebSocket example goes on after %s from a client with a good token', async (_title, frame) => {
    const { as, origin } = await start(process.execPath, () => [join(HOSTS, 'node.mjs')])
    const token = as.token({ scope: 'orders:read' })
    const shakeHands = async (): Promise<Socket> => {
      const client = connect(Number(new URL(origin).port), 'localhost').on('error', () => undefined)
      client.write(
        'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
          `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${token}\r\n\r\n`
      )
      let text = ''
      while (!text.includes('hello user-1')) text += String(((await once(client, 'data')) as [Buffer])[0])
      expect(text).toMatch(/^HTTP\/1\.1 101 /)
      return client
    }
    const client = await shakeHands()
    const closed = new Promise((resolve) => client.once('close', resolve))
    client.resume().write(frame)
    if (frame.length === 1) client.resetAndDestroy()
    await closed
    expect(await ask(`${origin}/orders`, token)).toMatchObject({ status: 200, body: { subject: 'user-1' } })
    ;(await shakeHands()).destroy()
  })

  test('the WebSocket example passes the scenario of all hosts', async () => {
    // It calls `ready()` at the start, so the outage must begin before.
    await requireContract(await start(process.execPath, () => [join(HOSTS, 'node.mjs')], { isDown: true }))
  })
})

describe('GraphQL', () => {
  test.each(['apollo.mjs', 'yoga.mjs'])('%s refuses requests and fields', async (example) => {
    await requireGraphql(await start(process.execPath, () => [join(HOSTS, example)]))
  })

  test('lets subscriptions of graphql-ws connect with a token, closes them with it, and their clients connect again', async () => {
    await requireSubscriptions(await start(process.execPath, () => [join(HOSTS, 'subscriptions.mjs')]))
  })

  test('tells a subscription to try again later while the authorization server is down', async () => {
    const { as, origin } = await start(process.execPath, () => [join(HOSTS, 'subscriptions.mjs')], { isDown: true })
    const client = new WebSocket(`${origin.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    running.push(async () => client.terminate())
    await once(client, 'open')
    client.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${as.token()}` } }))
    expect((await once(client, 'close'))[0]).toBe(1013)
  })

  test('answers one 403 for all scopes that an operation lacks, before it resolves anything', async () => {
    const { as, origin } = await start(process.execPath, () => [join(HOSTS, 'graphql.mjs')])
    const query = (text: string, token?: string): Promise<Answer> =>
      ask(`${origin}/graphql`, token, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ query: text })
      })
    const both = as.token({ scope: 'orders:read invoices:read' })
    expect(await query('{ me orders invoices }', both)).toMatchObject({
      status: 200,
      body: { data: { me: 'user-1', orders: 'orders of user-1', invoices: 'invoices of user-1' } }
    })
    expect(await query('{ me }', as.token({ scope: 'x' }))).toMatchObject({
      status: 200,
      body: { data: { me: 'user-1' } }
    })
    expect(await query('{ me }')).toMatchObject({ status: 401 })
    for (const text of ['{ me orders invoices }', 'fragment F on Query { a: invoices } query { ...F orders }']) {
      const lacking = await query(text, as.token({ scope: 'orders:read' }))
      expect(lacking).toMatchObject({ status: 403, body: { error: 'insufficient_scope' } })
      expect(lacking.challenge).toMatch(/scope="(orders:read invoices:read|invoices:read orders:read)"/)
      expect(JSON.stringify(lacking.body)).not.toContain('orders of')
    }
    // What a body parser would pass over, the handler may read all the same.
    for (const type of ['application / json', 'application/json;=', 'text/plain']) {
      const headers = { 'content-type': type }
      const body = JSON.stringify({ query: '{ orders }' })
      const answer = await ask(`${origin}/graphql`, as.token({ scope: 'x' }), { method: 'POST', headers, body })
      expect([403, 415]).toContain(answer.status)
    }
    expect(await query('{ me', both)).toMatchObject({
      body: { errors: [{ message: expect.stringMatching(/^Syntax Error/) }] }
    })
    expect(await query('{ nothing }', both)).toMatchObject({ body: { errors: [{}] } })
  })
})

describe('tRPC', () => {
  test('protects procedures by scopes, also in a batch, whose token is verified once', async () => {
    const host = await start(process.execPath, () => [join(HOSTS, 'trpc.mjs')])
    const { as, origin } = host
    const answer = await ask(`${origin}/orders`, as.token({ scope: 'orders:read' }))
    expect(answer).toMatchObject({ status: 200, body: { result: { data: { orders: [], subject: 'user-1' } } } })
    for (const [token, status, error] of [
      [undefined, 401, undefined],
      [as.expired(), 401, 'invalid_token'],
      [as.token({ scope: 'x' }), 403, 'insufficient_scope']
    ] as const) {
      const refused = await ask(`${origin}/orders`, token)
      expect(refused.status).toBe(status)
      expect(refused.challenge).toMatch(error === undefined ? /^Bearer resource_metadata=/ : `error="${error}"`)
      expect(refused.challenge).toContain('resource_metadata=')
    }
    expect(await ask(`${origin}/.well-known/oauth-protected-resource`)).toMatchObject({
      status: 200,
      body: { scopes_supported: ['orders:read'] }
    })

    const client = (headers: () => Record<string, string>): Client =>
      createTRPCClient({ links: [httpBatchLink({ url: origin, headers })] }) as unknown as Client
    const limited = client(() => ({ authorization: `Bearer ${as.token({ scope: 'x' })}` }))
    const [me, orders, health] = await Promise.allSettled([
      limited.me.query(),
      limited.orders.query(),
      limited.health.query()
    ])
    expect(me).toMatchObject({ value: 'user-1' })
    expect(orders).toMatchObject({ reason: expect.any(TRPCClientError) })
    expect((orders as PromiseRejectedResult).reason.data).toMatchObject({ code: 'FORBIDDEN', httpStatus: 403 })
    expect(health).toMatchObject({ value: 'ok' })

    // A proof is for one request, and a batch is one.
    const batch = `${origin}/me,orders?batch=1&input=%7B%7D`
    const { authorization, dpop } = as.dpop({ url: batch, claims: { scope: 'orders:read' } })
    const bound = await fetch(batch, { headers: { authorization, dpop } })
    expect(bound.status).toBe(200)
    expect((await fetch(batch, { headers: { authorization, dpop } })).status).toBe(401)
  })
})

type Client = Readonly<Record<'me' | 'orders' | 'health', { query(): Promise<unknown> }>>

describe.skipIf(!isInstalled)('with npm install --prefix .ci/hosts', () => {
  test('passes the scenario of all hosts on Bun', async () => {
    const host = await start(bin('bun'), () => [join(HOSTS, 'bun.mjs')])
    expect(host.line).toMatch(/^Bun: /)
    await requireContract(host)
  })

  test('Bun without fetchDispatcher() says what to change', async () => {
    const program = `
      import { resourceServer } from 'oauth-resource-server'
      const api = resourceServer({ resource: 'https://api.example.com', issuers: ['http://localhost:1'] })
      await api.ready().catch((error) => console.log(error.status, error.hint))
      await api.close()`
    const { stdout } = await run(bin('bun'), ['-e', program], { cwd: HOSTS })
    expect(stdout).toMatch(/^500 undici does not run on this host: .*fetchDispatcher\(\)/)
  })

  test('passes the scenario of all hosts on Deno', async () => {
    const host = await start(bin('deno'), () => [
      'run',
      '--no-lock',
      '--allow-net',
      '--allow-env',
      '--allow-read',
      '--allow-sys',
      join(HOSTS, 'deno.mjs')
    ])
    expect(host.line).toMatch(/^Deno: /)
    await requireContract(host)
  })

  test('passes the scenario of all hosts in built route handlers of Next.js on Node.js', {
    timeout: 180_000
  }, async () => {
    rmSync(NEXT, { recursive: true, force: true })
    mkdirSync(NEXT)
    cpSync(join(HOSTS, 'next'), NEXT, { recursive: true })
    // As `create-next-app` writes it: cacheComponents refuses what older routes export, such as `dynamic`.
    renameSync(join(NEXT, 'next.config.mjs'), join(NEXT, 'page.config.mjs'))
    const config = "import page from './page.config.mjs'\nexport default { ...page, cacheComponents: true }\n"
    writeFileSync(join(NEXT, 'next.config.mjs'), config)
    const link = join(INSTALLED, 'oauth-resource-server')
    rmSync(link, { force: true })
    symlinkSync(ROOT, link, 'dir')
    const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' as const }
    await run(bin('next'), ['build'], { cwd: NEXT, env })
    const host = await start(bin('next'), (port) => ['start', '--port', String(port)], { cwd: NEXT })
    await requireContract(host)
  })
})
