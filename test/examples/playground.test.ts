/**
 * The playground in a real browser (Debian's Chromium, headless, through playwright-core), from nothing but the API's
 * URL: both kinds of tokens, bound to a key and not, and everything that it breaks.
 */
import { mkdirSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type RunningServer, startServer } from '../../examples/authorization-server/server.mjs'
import { startPlayground } from '../../examples/playground/server.mjs'
import {
  breakIn,
  conversationIn,
  faultsOf,
  hasChromium,
  launch,
  PATIENCE,
  type Shown,
  shownIn
} from '../support/browser.js'

/** Where pictures are left, for people to look at. */
const PICTURES = 'coverage/playground'

interface Choices {
  readonly kind: 'jwt' | 'opaque'
  readonly dpop: boolean
}

/** Of an element over there. */
interface Sizes {
  readonly scrollWidth: number
  readonly scrollHeight: number
  readonly clientWidth: number
}

describe.skipIf(!hasChromium)('the playground', { timeout: 120_000 }, () => {
  let browser: Browser
  let server: RunningServer
  let playground: Awaited<ReturnType<typeof startPlayground>>
  let page: Page
  /** Origins that the page asked, and what it complained of. */
  let origins: Set<string>
  let complaints: string[]

  beforeAll(async () => {
    mkdirSync(PICTURES, { recursive: true })
    server = await startServer()
    playground = await startPlayground({ url: `${server.origin}/v2/messages` })
    browser = await launch()
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await playground?.close()
    await server?.close()
  })
  afterEach(async () => {
    await page.context().close()
  })

  async function open(options: Parameters<Browser['newContext']>[0] = {}): Promise<void> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
    page = await context.newPage()
    page.setDefaultTimeout(PATIENCE)
    origins = new Set()
    complaints = []
    page.on('request', (request) => {
      if (/^https?:/.test(request.url())) origins.add(new URL(request.url()).origin)
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      // What is refused is said on the console too, and is no fault.
      if (message.type() === 'error' && !/status of 4\d\d|net::ERR/.test(message.text()))
        complaints.push(message.text())
    })
    await page.goto(playground.url)
  }

  async function begin({ kind, dpop }: Choices): Promise<void> {
    await page.click('.more summary')
    await page.selectOption('#kind', kind)
    await page.setChecked('#dpop', dpop)
    await page.click('#start button[type=submit]')
    await page.waitForURL(`${server.origin}/consent/**`)
  }

  async function getToken(choices: Choices): Promise<void> {
    await begin(choices)
    await page.click('button[value=allow]')
    await page.waitForSelector('body[data-state=ready]')
  }

  const shown = (): Promise<Shown> => shownIn(page)
  const breakIt = (what: string): Promise<Shown> => breakIn(page, what)

  test('shows the requests, the claims, and the answer to each fault of a JWT', async () => {
    await open()
    await getToken({ kind: 'jwt', dpop: false })
    expect(new URL(page.url()).search).toBe(`?${new URLSearchParams({ url: `${server.origin}/v2/messages` })}`)
    expect(await conversationIn(page)).toEqual([
      'To the API: GET /v2/messages. Answer: 401 challenge',
      'To the API: GET /.well-known/oauth-protected-resource. Answer: 200 authorization_servers',
      'To the authorization server: GET /.well-known/oauth-authorization-server. Answer: 200 endpoints',
      'To the authorization server: POST /v2/oauth/register. Answer: 201 client_id',
      'To the authorization server: GET /v2/oauth/authorize. Answer: you sign in there',
      'To the authorization server: POST /v2/oauth/token. Answer: 200 access_token',
      'To the API: GET /v2/messages. Answer: 200 content'
    ])
    expect(await page.locator('#token td code').allTextContents()).toContain('at+jwt')
    expect(await shown()).toMatchObject({ status: '200', failed: [], passed: 13 })

    const none = await breakIt('none')
    expect(none).toMatchObject({ status: '401', failed: [expect.stringContaining('credentials_missing')] })
    expect(none.answer).toContain('www-authenticate: Bearer')
    expect(none.answer).not.toContain('error=')
    const expected = {
      expired: ['401', 'expired', 'The access token expired'],
      audience: ['401', 'audience', 'The access token audience is not accepted'],
      scope: ['403', 'insufficient_scope', 'error="insufficient_scope"'],
      tampered: ['401', 'signature', 'error="invalid_token"']
    } as const
    for (const [what, [status, reason, words]] of Object.entries(expected)) {
      const answered = await breakIt(what)
      expect(answered).toMatchObject({ status, failed: [expect.stringContaining(reason)] })
      expect(answered.answer).toContain(words)
    }
    // Neither is there a key, nor a proof to send twice.
    expect(await page.getAttribute('[data-break=replay]', 'aria-disabled')).toBe('true')
    expect(await breakIt('good')).toMatchObject({ status: '200' })
    expect(await breakIt('revoke')).toMatchObject({ status: '401', failed: [expect.stringContaining('inactive')] })
    expect(complaints).toEqual([])
    expect([...origins].toSorted()).toEqual([playground.origin, server.origin].toSorted())
  })

  test('introspects an opaque token, and shows that a revoked one is refused', async () => {
    await open()
    await getToken({ kind: 'opaque', dpop: false })
    expect(await page.textContent('#token')).toContain('opaque')
    expect(await shown()).toMatchObject({ status: '200', failed: [] })
    expect(await breakIt('audience')).toMatchObject({ status: '401', failed: [expect.stringContaining('audience')] })
    expect(await breakIt('expired')).toMatchObject({ status: '401', failed: [expect.stringContaining('expired')] })
    expect(await breakIt('tampered')).toMatchObject({ status: '401', failed: [expect.stringContaining('inactive')] })
    expect(await breakIt('revoke')).toMatchObject({ status: '401', failed: [expect.stringContaining('inactive')] })
    expect(complaints).toEqual([])
  })

  test.each(['jwt', 'opaque'] as const)('uses a DPoP key that scripts cannot read: %s', async (kind) => {
    await open()
    await getToken({ kind, dpop: true })
    expect(await shown()).toMatchObject({ status: '200', failed: [] })
    // Runs over there, and what it is about has no types here.
    const key = await page.evaluate(`new Promise((resolve, reject) => {
      const opening = indexedDB.open('playground')
      opening.onerror = () => reject(opening.error)
      opening.onsuccess = () => {
        const found = opening.result.transaction('keys').objectStore('keys').get('dpop')
        found.onsuccess = () =>
          crypto.subtle.exportKey('jwk', found.result.privateKey).then(() => resolve('readable'), ({ name }) => resolve(name))
      }
    })`)
    expect(key).toBe('InvalidAccessError')
    expect(await breakIt('good')).toMatchObject({ status: '200' })
    const replayed = await breakIt('replay')
    expect(replayed).toMatchObject({ status: '401', failed: [expect.stringContaining('proof_replayed')] })
    expect(replayed.answer).toContain('error="invalid_dpop_proof"')
    const stolen = await breakIt('downgrade')
    expect(stolen).toMatchObject({ status: '401', failed: [expect.stringContaining('dpop_downgrade')] })
    expect(await breakIt('scope')).toMatchObject({ status: '403' })
    expect(await breakIt('revoke')).toMatchObject({ status: '401', failed: [expect.stringContaining('inactive')] })
    expect(complaints).toEqual([])
  })

  test('says that the user denied, or that an answer was not asked for, and gets no token', async () => {
    await open()
    await begin({ kind: 'jwt', dpop: false })
    await page.click('button[value=deny]')
    await page.waitForSelector('body[data-state=failed]')
    expect(await page.textContent('#alert')).toContain('access_denied')
    expect(await page.isHidden('#token')).toBe(true)

    await page.click('#start button[type=submit]')
    await page.waitForURL(`${server.origin}/consent/**`)
    await page.goto(`${playground.origin}/?code=stolen&state=guessed&iss=${encodeURIComponent(server.issuer)}`)
    await page.waitForSelector('body[data-state=failed]')
    expect(await page.textContent('#alert')).toContain('state')
  })

  test.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 400],
    ['dark', 400],
    ['light', 320]
  ] as const)('is accessible, and can be used without a mouse: %s, %d pixels wide', async (colorScheme, width) => {
    await open({ colorScheme, viewport: { width, height: 900 } })
    const picture = (name: string) =>
      page.screenshot({ path: `${PICTURES}/${name}-${colorScheme}-${width}.png`, fullPage: true })
    expect(await faultsOf(page)).toEqual([])
    await picture('1-begin')
    // By keyboard alone: the settings are one stop away, the button two.
    await page.focus('#dpop')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.waitForURL(`${server.origin}/consent/**`)
    expect(await faultsOf(page)).toEqual([])
    await picture('2-consent')
    await page.keyboard.press('Tab')
    while ((await page.textContent(':focus')) !== 'Allow') await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.waitForSelector('body[data-state=ready]')
    await breakIt('expired')
    await page.locator('#exchanges summary').first().click()
    expect(await faultsOf(page)).toEqual([])
    await picture('3-refused')
    await page.locator('#exchanges summary').first().click()
    const { scrollWidth, clientWidth, scrollHeight } = await page.locator('html').evaluate((html) => ({
      scrollWidth: (html as unknown as Sizes).scrollWidth,
      clientWidth: (html as unknown as Sizes).clientWidth,
      scrollHeight: (html as unknown as Sizes).scrollHeight
    }))
    expect(scrollWidth).toBe(clientWidth)
    expect(scrollHeight).toBeLessThan(3 * 900)
  })

  test('shows a page at the front of the example server, and for a wrong client identifier', async () => {
    await open()
    await page.goto(server.origin)
    expect(await page.textContent('h1')).toBe('An authorization server for development')
    expect(await faultsOf(page)).toEqual([])
    const hrefs = await page.locator('li a').evaluateAll((links) => links.map((one) => one.getAttribute('href') ?? ''))
    const statuses = await Promise.all(hrefs.map(async (href) => (await fetch(server.origin + href)).status))
    expect(statuses).toEqual([401, 200, 200, 200])
    const wrong = `${server.origin}/v2/oauth/authorize?client_id=wrong&response_type=code`
    expect((await page.goto(wrong))?.status()).toBe(400)
    expect(await page.textContent('main')).toContain('client is invalid (invalid_client)')
    expect(await faultsOf(page)).toEqual([])
    // A program still gets JSON.
    expect(await (await fetch(wrong)).json()).toMatchObject({ error: 'invalid_client' })
  })

  test('the consent page works without JavaScript', async () => {
    await open()
    // The address that the page would go to, in a browser where no script runs.
    await page.route(`${server.origin}/v2/oauth/authorize*`, (route) => route.abort())
    const asked = page.waitForRequest(`${server.origin}/v2/oauth/authorize*`)
    await page.click('#start button[type=submit]')
    const url = (await asked).url()
    await page.context().close()
    const context = await browser.newContext({ javaScriptEnabled: false })
    page = await context.newPage()
    page.setDefaultTimeout(PATIENCE)
    await page.goto(url)
    expect(await page.textContent('h1')).toBe('OAuth playground asks for access to your account')
    await page.click('button[value=allow]')
    await page.waitForURL(`${playground.origin}/?code=**`)
  })
})
