/** `http.proxy`: real proxies between this package and real servers, that serve, refuse, hang and break off. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect, promisify } from 'node:util'
import { Agent } from 'undici'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createHttp } from '../../src/http/exchange.js'
import { resourceServer } from '../../src/index.js'
import { createCertificateAuthority } from '../support/certificates.js'
import { ask, authorize, createBed, granted, RESOURCE, refusal, until } from '../support/exchange.js'
import type { TestIssuer } from '../support/issuer.js'

const bed = createBed()
const NAME = 'http://as.internal:8080'
const HOSTS = ['as.internal:8080']
const PASSWORD = 'p@ss word'

// Those of the machine that runs this say nothing here.
beforeEach(() => {
  for (const name of ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY'])
    vi.stubEnv(name, undefined)
})
afterEach(() => void vi.unstubAllEnvs())

type Answer = (request: IncomingMessage, client: Socket) => void

interface TestProxy {
  readonly origin: string
  /** With a user name and a password. */
  readonly url: string
  /** What CONNECT asked for, and by which credentials. */
  readonly asked: { readonly target: string | undefined; readonly credentials: string | undefined }[]
  /** Requests that were no CONNECT. */
  readonly others: string[]
  /** Takes the place of the tunnel. */
  answer: Answer | undefined
  close(): Promise<void>
}

/** @param hosts  what CONNECT asks for → the port on this machine that it means */
async function startProxy(hosts: Readonly<Record<string, number>>): Promise<TestProxy> {
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    proxy.others.push(request.url ?? '')
    response.writeHead(501).end()
  })
  server.on('connection', (socket: Socket) => sockets.add(socket))
  server.on('connect', (request: IncomingMessage, client: Socket) => {
    client.on('error', () => client.destroy())
    proxy.asked.push({ target: request.url, credentials: request.headers['proxy-authorization'] })
    if (proxy.answer) return proxy.answer(request, client)
    const port = hosts[request.url ?? '']
    if (port === undefined) return void client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      upstream.pipe(client).pipe(upstream)
    })
    upstream.on('error', () => client.destroy())
    sockets.add(upstream)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const proxy: TestProxy = {
    origin: `http://127.0.0.1:${port}`,
    url: `http://orders:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}`,
    asked: [],
    others: [],
    answer: undefined,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    }
  }
  return bed.closing(proxy)
}

const portOf = ({ origin }: { readonly origin: string }): number => Number(new URL(origin).port)

/** A server that is known only to the proxy, by {@link NAME}, and the proxy. */
async function behind(): Promise<{ server: TestIssuer; proxy: TestProxy; token: string }> {
  const server = await bed.issuer()
  for (const [member, value] of Object.entries(server.metadata))
    if (typeof value === 'string') server.metadata[member] = value.replace(server.origin, NAME)
  const proxy = await startProxy({ 'as.internal:8080': portOf(server) })
  return { server, proxy, token: server.token({ claims: { iss: NAME } }) }
}

const refuse =
  (status: string): Answer =>
  (_, client) =>
    void client.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`)

describe('a proxy by its URL', () => {
  test('tunnels every request for an http issuer, with its user name and password', async () => {
    const { server, proxy, token } = await behind()
    const api = bed.api({ issuers: [NAME], http: { insecureHosts: HOSTS, proxy: proxy.url } })
    expect(await ask(api, token)).toEqual(granted)
    const credentials = `Basic ${Buffer.from(`orders:${PASSWORD}`).toString('base64')}`
    for (const one of proxy.asked) expect(one).toEqual({ target: 'as.internal:8080', credentials })
    expect(proxy.asked.length).toBeGreaterThan(0)
    expect([server.count('metadata'), server.count('jwks')]).toEqual([1, 1])
    for (const { headers } of server.requests) expect(headers).not.toHaveProperty('proxy-authorization')
    expect(proxy.others).toEqual([])
  })

  test('is not used for loopback, which would be the proxy’s own machine', async () => {
    const issuer = await bed.issuer()
    const proxy = await startProxy({})
    const api = bed.api({ issuers: [issuer.issuer], http: { proxy: proxy.url } })
    expect(await ask(api, issuer.token())).toEqual(granted)
    expect([proxy.asked, proxy.others]).toEqual([[], []])
  })

  test.each([
    [
      '407 Proxy Authentication Required',
      'answered 407 to CONNECT: it requires a user name and a password, or rejects these'
    ],
    ['403 Forbidden', 'answered 403 to CONNECT: it does not let this API reach that host and port'],
    ['502 Bad Gateway', 'answered 502 to CONNECT: it could not reach the server'],
    ['204 No Content', 'answered 204 to CONNECT']
  ])('that answers %s causes a 503 that names it as the cause, without its password', async (status, said) => {
    const { server, proxy, token } = await behind()
    proxy.answer = refuse(status)
    const api = bed.api({ issuers: [NAME], http: { insecureHosts: HOSTS, proxy: proxy.url } })
    const error = await refusal(() => authorize(api, token))
    expect([error.status, error.headers['Retry-After']]).toEqual([503, expect.stringMatching(/^\d+$/)])
    expect(error.hint).toContain(`was not reached: the proxy of \`http.proxy\` ${said}`)
    expect(error.cause).toMatchObject({ name: 'ProxyFailure', message: expect.stringContaining(said) })
    expect(inspect(error, { depth: 9 }) + JSON.stringify(error) + error.hint).not.toMatch(/p@ss|p%40ss|orders/)
    expect(server.requests).toEqual([])
  })

  test('that closes the connection, or is not there, causes a 503 that names it as the cause', async () => {
    const { proxy, token } = await behind()
    const start = () => bed.api({ issuers: [NAME], http: { insecureHosts: HOSTS, proxy: proxy.url } })
    proxy.answer = (_, client) => void client.destroy()
    const broken = await refusal(() => authorize(start(), token))
    await proxy.close()
    const absent = await refusal(() => authorize(start(), token))
    for (const { status, hint, cause } of [broken, absent]) {
      expect([status, hint]).toEqual([503, expect.stringContaining('the proxy of `http.proxy` could not be reached')])
      expect(cause).toMatchObject({ name: 'ProxyFailure' })
    }
    expect(absent.cause).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })

  test('that hangs causes a 503 that names it as the cause, is abandoned, and is used again when it answers', async () => {
    const { server, proxy } = await behind()
    let left = 0
    proxy.answer = (_, client) => void client.resume().once('end', () => left++)
    const http = createHttp({ dispatcher: undefined, timeout: 0.5, deadline: 0.5, proxy: proxy.url }, () => undefined)
    bed.closing(http)
    const get = () => http.exchange({ url: `${NAME}/jwks`, method: 'GET', headers: {}, dependency: 'jwks' })
    const { status, hint, cause } = await refusal(get)
    expect([status, hint]).toEqual([503, expect.stringContaining('the proxy of `http.proxy` did not answer CONNECT')])
    expect(cause).toMatchObject({ name: 'ProxyFailure' })
    await until(() => left > 0 && left === proxy.asked.length)
    proxy.answer = undefined
    const isReached = () => get().then(Boolean, () => false)
    while (!(await isReached()));
    expect(server.count('jwks')).toBeGreaterThan(0)
  })

  test('reports a hanging server behind it as the server’s failure', async () => {
    const { server, proxy } = await behind()
    server.always('jwks', () => undefined)
    const http = createHttp({ dispatcher: undefined, timeout: 1, deadline: 1, proxy: proxy.url }, () => undefined)
    bed.closing(http)
    const get = () => http.exchange({ url: `${NAME}/jwks`, method: 'GET', headers: {}, dependency: 'jwks' })
    const { hint } = await refusal(get)
    expect(hint).toMatch(/did not answer within 1 s/)
    expect(hint).not.toMatch(/proxy/)
  })
})

describe('a proxy of the environment', () => {
  const direct = async (): Promise<{ server: TestIssuer; name: string; host: string }> => {
    const server = await bed.issuer()
    const host = `0.0.0.0:${portOf(server)}`
    for (const [member, value] of Object.entries(server.metadata))
      if (typeof value === 'string') server.metadata[member] = value.replace(server.origin, `http://${host}`)
    return { server, name: `http://${host}`, host }
  }

  test('HTTP_PROXY is used, except for the hosts in NO_PROXY', async () => {
    const { server, name, host } = await direct()
    const proxy = await startProxy({ [host]: portOf(server) })
    vi.stubEnv('HTTP_PROXY', proxy.url)
    const token = server.token({ claims: { iss: name } })
    const start = () => bed.api({ issuers: [name], http: { insecureHosts: [host], proxy: 'environment' } })
    expect(await ask(start(), token)).toEqual(granted)
    const tunnels = proxy.asked.length
    expect(tunnels).toBeGreaterThan(0)
    vi.stubEnv('NO_PROXY', 'localhost,0.0.0.0')
    expect(await ask(start(), token)).toEqual(granted)
    expect(proxy.asked.length).toBe(tunnels)
  })

  test('without a proxy variable every request is direct', async () => {
    const { server, name, host } = await direct()
    const api = bed.api({ issuers: [name], http: { insecureHosts: [host], proxy: 'environment' } })
    expect(await ask(api, server.token({ claims: { iss: name } }))).toEqual(granted)
  })

  test('is not used without http.proxy', async () => {
    const { server, name, host } = await direct()
    const proxy = await startProxy({})
    vi.stubEnv('HTTP_PROXY', proxy.url)
    const api = bed.api({ issuers: [name], http: { insecureHosts: [host] } })
    expect(await ask(api, server.token({ claims: { iss: name } }))).toEqual(granted)
    expect(proxy.asked).toEqual([])
  })

  test.each(['HTTPS_PROXY', 'https_proxy'])(
    '%s that is set but not used is named if no server is reached',
    async (name) => {
      vi.stubEnv(name, 'http://orders:geheim@proxy.internal:3128')
      const issuers = [{ issuer: 'https://as.invalid', jwksUri: 'https://as.invalid/jwks' }]
      const token = (await bed.issuer()).token({ claims: { iss: 'https://as.invalid' } })
      const { status, hint } = await refusal(() => authorize(bed.api({ issuers }), token))
      expect([status, hint]).toEqual([503, expect.stringContaining(`(${name} is set, and \`http.proxy\` is not)`)])
      expect(hint).not.toMatch(/geheim|proxy\.internal/)
      const own = bed.closing(new Agent())
      const others = [
        await refusal(() => authorize(bed.api({ issuers, http: { dispatcher: own } }), token)),
        await refusal(() =>
          authorize(
            bed.api({ issuers: [{ ...issuers[0], issuer: 'https://as.invalid', jwksUri: 'http://localhost:1/' }] }),
            token
          )
        )
      ]
      for (const error of others)
        expect([error.status, error.hint]).toEqual([503, expect.not.stringContaining('is set')])
    }
  )
})

describe('an https issuer behind a proxy', () => {
  const run = promisify(execFile)
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'proxy-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test('is reached by CONNECT, and shows its own certificate through the tunnel', async () => {
    const server = await bed.issuer()
    const name = 'https://as.internal'
    for (const [member, value] of Object.entries(server.metadata))
      if (typeof value === 'string') server.metadata[member] = value.replace(server.origin, name)
    const authority = createCertificateAuthority()
    const certificate = authority.issue({ commonName: 'as.internal', sans: ['as.internal'] })
    const listener = createTlsServer(certificate, async (incoming, response) => {
      const answer = await fetch(server.origin + incoming.url)
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    bed.closing({ close: async () => listener.close(() => undefined).closeAllConnections() })
    const { port } = listener.address() as AddressInfo
    const proxy = await startProxy({ 'as.internal:443': port, 'other.internal:443': port })
    const ca = join(folder, 'ca.pem')
    writeFileSync(ca, authority.cert)

    const outcome = async (issuer: string, options: object, env: Readonly<Record<string, string>> = {}) => {
      const claims = { iss: issuer, exp: Math.floor(Date.now() / 1000) + 300, iat: Math.floor(Date.now() / 1000) }
      const argument = JSON.stringify({ options: { issuers: [issuer], ...options }, token: server.token({ claims }) })
      const script = fileURLToPath(new URL('ask.mjs', import.meta.url))
      const { stdout } = await run(process.execPath, [script, argument], {
        env: { PATH: process.env['PATH'], NODE_EXTRA_CA_CERTS: ca, ...env }
      })
      return JSON.parse(stdout)
    }
    expect(await outcome(name, { http: { proxy: proxy.url } })).toEqual({ status: 200 })
    const credentials = `Basic ${Buffer.from(`orders:${PASSWORD}`).toString('base64')}`
    expect(proxy.asked[0]).toEqual({ target: 'as.internal:443', credentials })
    expect(await outcome(name, { http: { proxy: 'environment' } }, { HTTPS_PROXY: proxy.origin })).toEqual({
      status: 200
    })
    expect(proxy.asked.at(-1)).toEqual({ target: 'as.internal:443', credentials: undefined })
    expect(proxy.others).toEqual([])
    expect(await outcome('https://other.internal', { http: { proxy: proxy.url } })).toMatchObject({
      status: 503,
      code: 'ERR_TLS_CERT_ALTNAME_INVALID'
    })
  }, 30_000)
})

describe('http.proxy', () => {
  const start = (http: object) => () =>
    resourceServer({ resource: RESOURCE, issuers: ['https://as.example.com'], http })

  test.each([
    ['geheim', 'is not an http or https URL'],
    ['', 'is not an http or https URL'],
    ['proxy.geheim:3128', 'is not an http or https URL'],
    ['socks5://proxy.geheim:1080', 'is not an http or https URL'],
    ['http://proxy.geheim:3128/pac', 'has a path, a query or a fragment'],
    ['http://proxy.geheim:3128?a', 'has a path, a query or a fragment'],
    ['http://geheim@proxy.internal:3128', 'has a user name without a password, or a password without a user name'],
    [
      'http://u:%E0%A4geheim@proxy.internal:3128',
      'has a % in its user name or password that does not begin a valid encoding'
    ],
    [1, 'is not a text']
  ])('refuses %j at start, and the message does not repeat it', (proxy, problem) => {
    const attempt = start({ proxy })
    expect(attempt).toThrow(`\`http.proxy\` ${problem}: write 'environment', or an origin such as`)
    expect(attempt).not.toThrow(/geheim/)
  })

  test('refuses a dispatcher or publicAddressesOnly beside it at start', () => {
    const proxy = 'http://proxy.internal:3128'
    expect(start({ proxy, dispatcher: bed.closing(new Agent()) })).toThrow(
      /`http\.proxy` contradicts `http\.dispatcher`/
    )
    expect(start({ proxy, publicAddressesOnly: true })).toThrow(/`http\.proxy` contradicts `http\.publicAddressesOnly`/)
  })

  test('refuses an environment variable that is not a URL at start, and names it without its value', () => {
    vi.stubEnv('HTTPS_PROXY', 'proxy.geheim:3128')
    vi.stubEnv('http_proxy', 'http://proxy.internal:3128')
    const attempt = start({ proxy: 'environment' })
    expect(attempt).toThrow("`http.proxy` is 'environment', and the variable HTTPS_PROXY is not an http or https URL")
    expect(attempt).not.toThrow(/geheim|http_proxy/)
    expect(start({})).not.toThrow()
  })

  test('is described without user name and password', () => {
    const shown = (http: object) => start(http)().describe()['http']
    expect(shown({ proxy: 'https://orders:geheim@proxy.internal:3129' })).toMatchObject({
      proxy: 'https://proxy.internal:3129'
    })
    expect(shown({ proxy: 'environment' })).toMatchObject({ proxy: 'environment' })
  })
})
