/**
 * The playground at APIs that do not know it: with CORS and without, and at URLs that are not an API. README's Express
 * server runs as its own process.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startPlayground } from '../../examples/playground/server.mjs'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { breakIn, conversationIn, hasChromium, launch, PATIENCE, shownIn } from '../support/browser.js'
import { freePort } from '../support/ports.mjs'
import { startTls } from '../support/tls.js'

const EXPRESS = fileURLToPath(new URL('../../examples/express.mjs', import.meta.url))
const MAIN = fileURLToPath(new URL('../../examples/playground/main.mjs', import.meta.url))

const closers: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An API that answers 401, and whose metadata are these. */
function describing(metadata: (origin: string) => object): Promise<string> {
  return serve(({ url, headers }, response) => {
    const origin = `http://${headers.host}`
    const challenge = `Bearer resource_metadata="${origin}/metadata"`
    if (url === '/metadata') response.end(JSON.stringify(metadata(origin)))
    else response.writeHead(401, { 'WWW-Authenticate': challenge }).end()
  })
}

/** README's Express server, as a newcomer starts it. @returns its protected URL */
async function startExpress(issuer: string): Promise<string> {
  const port = await freePort()
  const resource = `http://localhost:${port}`
  const env = { ...process.env, ISSUER: issuer, RESOURCE: resource, PORT: String(port) }
  const child = spawn(process.execPath, [EXPRESS], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  closers.push(() => ended(child))
  await once(child.stdout, 'data')
  return `${resource}/orders`
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

/** What a person may enter by mistake, each with the words that help. */
const NOT_APIS: readonly (readonly [title: string, makeUrl: () => Promise<string>, words: RegExp])[] = [
  [
    'nothing listens',
    async () => `http://127.0.0.1:${await freePort()}/`,
    /Nothing listens at 127\.0\.0\.1:\d+\. Start/
  ],
  ['a name that does not exist', async () => 'http://playground.invalid/', /no host named playground\.invalid/],
  ['there is nothing', () => serve((_, response) => void response.writeHead(404).end()), /404.*a URL that a token/],
  ['it is not protected', () => serve((_, response) => void response.end('hello')), /not protected.*answered 200/],
  ['it has no challenge', () => serve((_, response) => void response.writeHead(401).end()), /401 without a challenge/],
  ['it fails', () => serve((_, response) => void response.writeHead(500).end()), /answered 500 .* instead of 401/],
  [
    'it is not HTTP',
    async () => (await serve((_, response) => void response.end())).replace('http:', 'https:'),
    /no HTTP answer|does not speak TLS|Nothing listens/
  ],
  [
    'its certificate is self-signed',
    async () => `${await startTls({ closing: (one) => closers.push(() => one.close()) })}/`,
    /certificate of 127\.0\.0\.1:\d+ (?:is self-signed|is for another name).*NODE_EXTRA_CA_CERTS/
  ],
  [
    'it describes another API',
    () => describing(() => ({ resource: 'https://api.example' })),
    /describe https:\/\/api\.example, but the URL is/
  ],
  [
    'it names no authorization server',
    () => describing((resource) => ({ resource })),
    /name no authorization server.*authorization_servers/
  ]
]

describe.skipIf(!hasChromium)('the playground at any API', { timeout: 120_000 }, () => {
  let browser: Browser
  let playground: Awaited<ReturnType<typeof startPlayground>>
  let as: TestIssuer
  let orders: string
  let page: Page
  beforeAll(async () => {
    as = await createTestIssuer()
    closers.push(() => as.close())
    orders = await startExpress(await as.listen())
    playground = await startPlayground()
    closers.push(playground.close)
    browser = await launch()
    closers.push(() => browser.close())
  }, 60_000)
  afterEach(async () => {
    await page.context().close()
  })

  async function start(url: string, fill: Record<string, string> = {}): Promise<void> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
    page = await context.newPage()
    page.setDefaultTimeout(PATIENCE)
    await page.goto(`${playground.origin}/?${new URLSearchParams({ url })}`)
    if (fill['token'] !== undefined) await page.check('[name=way][value=token]')
    if (fill['server'] !== undefined) await page.click('.more summary')
    for (const [name, value] of Object.entries(fill)) await page.fill(`[name=${name}]`, value)
    await page.click('#start button[type=submit]')
    await page.waitForSelector('body[data-state=ready], body[data-state=failed]')
  }

  const said = async (): Promise<string> => (await page.textContent('#alert')) ?? ''
  const token = (): string => as.token({ aud: new URL(orders).origin, scope: 'orders:read' })

  test("calls README's server, which has no CORS, by its own server, says what a browser misses, and makes the checks", async () => {
    await start(orders, { token: token() })
    expect(await said()).toBe('')
    expect(await shownIn(page)).toMatchObject({ status: '200', failed: [] })
    expect(await page.textContent('#notices')).toContain('CORS')
    expect(await conversationIn(page)).toContain('To the API: GET /orders. Answer: 200 content')
    expect(await breakIn(page, 'none')).toMatchObject({
      status: '401',
      failed: [expect.stringContaining('credentials_missing')]
    })
    const tampered = await breakIn(page, 'tampered')
    expect(tampered).toMatchObject({ status: '401', failed: [expect.stringContaining('signature')] })
    expect(await page.getAttribute('#result .hint a', 'href')).toMatch(/\/reasons\/signature$/)
    expect(await page.getAttribute('[data-break=expired]', 'aria-disabled')).toBe('true')
    expect(await page.textContent('#lacks-expired')).toContain('npx oauth-resource-server issuer')
  })

  test('shows no checks for an opaque token, which only the API can verify', async () => {
    await start(orders, { token: 'opaque-token-of-another-server' })
    const { status, failed, passed } = await shownIn(page)
    expect({ status, failed, passed }).toEqual({ status: '401', failed: [], passed: 0 })
    expect(await page.textContent('#result')).toContain('in the log of the API')
  })

  test('asks the person for the server of an API whose challenge names no metadata', async () => {
    const url = `${await serve((_request, response) => {
      response.writeHead(401, {
        'WWW-Authenticate': 'Bearer realm="orders"',
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Expose-Headers': 'WWW-Authenticate'
      })
      response.end()
    })}/orders`
    await start(url)
    expect(await said()).toContain('resource_metadata, RFC 9728 §5.1')
    await page.close()
    await start(url, { token: token(), server: as.issuer })
    expect(await shownIn(page)).toMatchObject({ status: '401' })
  })

  test.each(NOT_APIS)('says why a URL is not that of a protected API: %s', async (_, makeUrl, words) => {
    await start(await makeUrl())
    expect(await said()).toMatch(words)
  })

  test.each([
    ['ftp://127.0.0.1/', /not an http or https URL/],
    ['http://127.0.0.1:1/', /Nothing listens|no HTTP answer/]
  ])('the entered URL %s', async (url, words) => {
    await start(url)
    expect(await said()).toMatch(words)
  })

  test('says which client to register at a server without registration', async () => {
    await start(orders)
    expect(await said()).toMatch(/does not let clients register themselves .*redirect URI http:.*client ID/)
  })
})

describe('the server of the playground', () => {
  test.each([
    ['another origin', (origin: string) => ({ Origin: 'https://attacker.example', Host: new URL(origin).host })],
    ['no origin', () => ({})],
    ['another name for this address', (origin: string) => ({ Origin: origin, Host: 'attacker.example' })]
  ])('relays nothing for a page of %s', async (_, fields) => {
    const playground = await startPlayground()
    closers.push(playground.close)
    let asked = 0
    const url = await serve((_request, response) => {
      asked++
      response.end()
    })
    for (const path of ['relay', 'checks']) {
      const response = await post(`${playground.origin}/${path}`, fields(playground.origin), { url, method: 'GET' })
      expect(response).toBe(403)
    }
    expect(asked).toBe(0)
  })

  test('refuses a question that is too long, not JSON, or a GET', async () => {
    const playground = await startPlayground()
    closers.push(playground.close)
    const own = { Origin: playground.origin }
    expect(await post(`${playground.origin}/relay`, own, { url: 'x'.repeat(70_000) })).toBe(403)
    expect(await post(`${playground.origin}/relay`, own, 'not an object')).toBe(403)
    expect((await fetch(`${playground.origin}/relay`)).status).toBe(403)
  })

  test.each([
    [['--port', '70000'], /not a port from 0 to 65535/],
    [['--port', 'many'], /not a port/],
    [['orders'], /orders is not an http or https URL/],
    [['http://a.example', 'http://b.example'], /one URL/],
    [['--wrong'], /--wrong/]
  ] as const)('the command says what is wrong with %j', async (args, words) => {
    expect(await run([...args])).toMatchObject({ code: 2, stderr: expect.stringMatching(words) })
  })

  test('the command says that its port is taken', async () => {
    const origin = await serve((_, response) => response.end())
    const { port } = new URL(origin)
    expect(await run(['--port', port])).toMatchObject({ code: 2, stderr: expect.stringMatching(/is taken.*--port/) })
  })
})

async function post(url: string, headers: Record<string, string>, body: unknown): Promise<number | undefined> {
  const { request } = await import('node:http')
  const outgoing = request(url, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers } })
  outgoing.end(JSON.stringify(body))
  const [incoming] = await once(outgoing, 'response')
  incoming.resume()
  return incoming.statusCode
}

async function run(args: string[]): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [code] = await once(child, 'close')
  return { code, stderr }
}
