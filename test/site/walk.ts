/**
 * A walk through the built site in a real browser: home, search, the page of a reason, on a narrow and on a dark page. Needs
 * `npm run docs:build` and Chromium.
 */
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { SITE } from '../../scripts/site/stage.mjs'
import { InvalidToken } from '../../src/index.js'
import { faultsOf, hasChromium, launch, PATIENCE } from '../support/browser.js'

const DIST = fileURLToPath(new URL('../../.ci/site/dist', import.meta.url))
const BASE = new URL(SITE).pathname
/** Where pictures are left, for people to look at. */
const PICTURES = 'coverage/site'
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png'
}
/** Questions of newcomers: the page, or page and heading, that answers, and words that a newcomer types. */
const SEARCHES: readonly (readonly [answer: string, queries: readonly string[]])[] = [
  [
    'roles#auth0-permissions',
    [
      'auth0 fastify permissions',
      'auth0 permissions',
      'How do I use Auth0 permissions in Fastify?',
      'auth0 rbac fastify',
      'fastify auth0'
    ]
  ],
  [
    'roles#keycloak-roles',
    ['keycloak roles', 'keycloak realm_access roles', 'keycloak client roles express', 'How do I check Keycloak roles?']
  ],
  [
    'roles#roles-and-permissions',
    [
      'require roles',
      'how do I require roles in express',
      'roles and permissions',
      'rbac',
      'role based access',
      'how to check user roles'
    ]
  ],
  ['roles#my-own-roles-claim', ['roles', 'custom roles claim', 'my own roles claim']],
  [
    'profiles#versions-1-and-2',
    [
      'entra v1 v2',
      'entra v1 token',
      'azure ad v1 v2 tokens',
      'Entra ID versions',
      'azure ad v2.0 issuer sts.windows.net',
      'accessTokenAcceptedVersion'
    ]
  ],
  [
    'issuers#two-audiences',
    [
      'two audiences',
      'multiple audiences',
      'two aud values',
      'accept more than one audience',
      'api with several audiences'
    ]
  ],
  [
    'sender-constrained#nginx',
    [
      'nginx mtls',
      'client certificate nginx',
      'nginx client certificates',
      'mutual tls behind nginx',
      'ssl_client_escaped_cert'
    ]
  ],
  ['sender-constrained#client-certificates', ['mtls', 'mutual tls', 'client certificates']],
  [
    'troubleshooting#why-is-it-401',
    [
      'why 401',
      '401',
      '401 unauthorized',
      'Why do I get a 401?',
      'why is my token refused',
      'unauthorized error',
      'token rejected 401 debug'
    ]
  ],
  [
    'kubernetes#readiness-and-liveness',
    [
      'kubernetes readiness',
      'readiness probe',
      'liveness',
      'k8s probes',
      'kubernetes health check',
      'readiness endpoint'
    ]
  ],
  [
    'lambda#aws-lambda',
    ['lambda', 'aws lambda', 'How do I protect an API on AWS Lambda?', 'serverless', 'deploy on lambda']
  ],
  ['lambda', ['api gateway']],
  ['lambda#a-cold-start-without-a-request', ['lambda cold start', 'cold starts']],
  [
    'revocation#logout-the-provider-tells',
    ['logout', 'backchannel logout', 'back-channel logout', 'single logout', 'log out users', 'signout', 'logout token']
  ],
  [
    'issuers#several-issuers-and-dynamic-tenants',
    [
      'tenants',
      'multi-tenant',
      'multitenancy',
      'several issuers',
      'issuer per tenant',
      'saas tenants',
      'multiple issuers'
    ]
  ],
  [
    'migration#express-jwt-and-jwks-rsa',
    [
      'express-jwt',
      'migrate from express-jwt',
      'express-jwt jwks-rsa',
      'replace express-jwt',
      'jwks-rsa',
      'coming from express-jwt'
    ]
  ],
  ['nestjs#nestjs', ['nestjs', 'nest']],
  ['graphql', ['graphql']],
  ['graphql#subscriptions', ['graphql subscriptions', 'graphql-ws']],
  ['nextjs#nextjs', ['nextjs', 'next.js']],
  ['trpc#trpc', ['trpc']],
  ['compose#docker-compose', ['docker compose', 'docker']]
]
const isBuilt = existsSync(join(DIST, 'index.html'))
if (!isBuilt) console.error('Skipped: the site is not built (npm run docs:build).')
if (!hasChromium) console.error('Skipped: Chromium is missing (Debian: apt-get install chromium; or set CHROMIUM).')

/** Answers as GitHub Pages does: `/reasons/audience` is `reasons/audience.html`. */
function startPages(): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const path = pathname.startsWith(BASE) ? join(DIST, decodeURIComponent(pathname.slice(BASE.length))) : ''
    const file = [path, `${path}.html`, join(path, 'index.html')].find(
      (one) => existsSync(one) && statSync(one).isFile()
    )
    if (file === undefined || !file.startsWith(DIST)) return void response.writeHead(404).end()
    response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'text/plain' }).end(readFileSync(file))
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

test.runIf(process.env['CI'] !== undefined)('CI has both', () => {
  expect({ isBuilt, hasChromium }).toEqual({ isBuilt: true, hasChromium: true })
})

describe.skipIf(!hasChromium || !isBuilt)('the site', () => {
  let browser: Browser
  let server: Server
  let origin: string
  let page: Page
  /** Of other hosts, and what the page complained of. */
  let strangers: string[]
  let complaints: string[]

  beforeAll(async () => {
    mkdirSync(PICTURES, { recursive: true })
    server = await startPages()
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await launch()
  })
  afterAll(async () => {
    await browser?.close()
    server?.close()
  })
  afterEach(async () => {
    expect({ strangers, complaints }).toEqual({ strangers: [], complaints: [] })
    await page.context().close()
  })

  async function open(path: string, options: BrowserContextOptions = {}): Promise<void> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      reducedMotion: 'reduce',
      ...options
    })
    page = await context.newPage()
    page.setDefaultTimeout(PATIENCE)
    strangers = []
    complaints = []
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== origin) strangers.push(request.url())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    await page.goto(`${origin}${BASE}${path}`, { waitUntil: 'networkidle' })
  }

  const photograph = (name: string): Promise<Buffer> =>
    page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true })

  async function search(query: string): Promise<void> {
    const field = page.locator('input[type=search]')
    if (!(await field.isVisible())) await page.click('#local-search button, .VPNavBarSearch button')
    await field.fill(query)
  }

  /** Where the first three results of a search lead. */
  async function found(query: string): Promise<string[]> {
    const results = page.locator('.results .result')
    await search('')
    await expect.poll(() => results.count(), { timeout: PATIENCE }).toBe(0)
    await search(query)
    await page.locator('.results .result, .results .no-results').first().waitFor()
    const links = await results.evaluateAll((all) => all.slice(0, 3).map((one) => one.getAttribute('href') ?? ''))
    return links.map((link) => link.slice(BASE.length))
  }

  /** VitePress gives the box of its search two roles that axe refuses, and no option to change them. */
  const faultsBeyondTheBox = async (): Promise<string[]> =>
    (await faultsOf(page)).filter((fault) => !/^(?:label-content-name-mismatch|nested-interactive): <div/.test(fault))

  /** The brightness in the middle of a picture's upper edge, from 0 to 255. */
  const groundOf = (image: Buffer): Promise<number> =>
    page.evaluate(`(async () => {
      const image = new Image()
      image.src = 'data:image/png;base64,${image.toString('base64')}'
      await image.decode()
      const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d')
      canvas.drawImage(image, 0, 0)
      const [red, green, blue] = canvas.getImageData(image.width / 2, 8, 1, 1).data
      return (red + green + blue) / 3
    })()`)

  /** Pixels by which the page is wider than its window. */
  const overhang = (): Promise<number> =>
    page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')

  test.each([
    ['wide-light', 1280, 'light'],
    ['wide-dark', 1280, 'dark'],
    ['narrow-light', 400, 'light'],
    ['narrow-dark', 400, 'dark']
  ] as const)('the home page has pictures, code and the tree, for everybody: %s', async (name, width, colorScheme) => {
    await open('', { viewport: { width, height: 900 }, colorScheme })
    await photograph(`home-${name}`)
    expect(await page.locator('.VPNavBar').boundingBox()).toMatchObject({ x: 0, y: 0 })
    if (width > 1000) expect(await page.locator('.VPNavBar .VPSwitchAppearance').first().isVisible()).toBe(true)
    expect(await page.textContent('h1')).toContain('OAuth access tokens for Node.js APIs')
    const broken = await page.evaluate(
      '[...document.images].filter((one) => one.naturalWidth === 0).map(({ src }) => src)'
    )
    expect(broken).toEqual([])
    expect(await page.locator('.tree a').count()).toBeGreaterThan(20)
    expect(await page.locator('.vp-code-group pre').first().textContent()).toContain('app.listen(')
    expect(await overhang()).toBe(0)
    expect(await faultsOf(page)).toEqual([])
  })

  test('the switch of the site changes drawings too, on a machine that is light', async () => {
    await open('sender-constrained', { colorScheme: 'light' })
    const drawing = page.getByAltText('a proxy ends TLS')
    await drawing.scrollIntoViewIfNeeded()
    const before = await drawing.screenshot()
    await page.locator('.VPSwitchAppearance').first().click()
    await page.waitForSelector('html.dark')
    const after = await drawing.screenshot({ path: `${PICTURES}/drawing-switched.png` })
    expect(after.equals(before)).toBe(false)
    // The first pixel of the drawing's ground: nearly black.
    expect(await groundOf(after)).toBeLessThan(60)
    expect(await groundOf(before)).toBeGreaterThan(200)
  })

  test('a search for "why 401" finds the page that answers it', async () => {
    await open('')
    await search('why 401')
    const first = page.locator('.results .result').first()
    await first.waitFor()
    expect((await first.textContent())?.replace(/\s+/g, ' ')).toContain('Why is it 401?')
    await first.click()
    await page.waitForURL(/\/troubleshooting#why-is-it-401$/)
    expect(await page.textContent('h2#why-is-it-401')).toContain('Why is it 401?')
  })

  test('a search finds the answer to each question of newcomers among the first three', {
    timeout: 300_000
  }, async () => {
    await open('')
    const missed: string[] = []
    for (const [answer, queries] of SEARCHES) {
      for (const query of queries) {
        const first = await found(query)
        if (!first.some((link) => `${link}#`.startsWith(`${answer}#`)))
          missed.push(`${query}: expected ${answer}, found ${first.join(', ')}`)
      }
    }
    expect(missed).toEqual([])
  })

  test.each([
    ['wide-dark', 1280, 'dark'],
    ['narrow-light', 400, 'light'],
    ['narrow-dark', 400, 'dark']
  ] as const)('the search fits the page: %s', async (name, width, colorScheme) => {
    await open('', { viewport: { width, height: 900 }, colorScheme })
    expect(await found('require roles')).not.toEqual([])
    await page.screenshot({ path: `${PICTURES}/search-${name}.png` })
    expect(await overhang()).toBeLessThanOrEqual(0)
    // Beside a scroll bar, which covers a part of the window, as on a desktop.
    const edges = await page
      .locator('.VPLocalSearchBox .shell')
      .evaluate((box) => [box, box.parentElement ?? box].map((one) => one.getBoundingClientRect().right))
    expect(edges[0]).toBeLessThanOrEqual(edges[1] as number)
    expect(await faultsBeyondTheBox()).toEqual([])
  })

  test.each([
    ['wide-light', 1280, 'light'],
    ['narrow-dark', 400, 'dark']
  ] as const)('the link of an error leads to a page about its reason: %s', async (name, width, colorScheme) => {
    const { documentation } = new InvalidToken('audience')
    await open(documentation.slice(SITE.length), { viewport: { width, height: 900 }, colorScheme })
    await photograph(`reason-${name}`)
    expect(await page.textContent('h1')).toContain('audience')
    expect(await page.textContent('main')).toMatch(/Means[\s\S]*Change[\s\S]*The access token audience is not accepted/)
    expect(await overhang()).toBe(0)
    expect(await faultsOf(page)).toEqual([])
  })

  test.each(['guide', 'questions', 'troubleshooting', 'profiles', 'options', 'sender-constrained', 'reference'])(
    '%s fits a narrow page',
    async (path) => {
      await open(path, { viewport: { width: 400, height: 900 } })
      await page.screenshot({ path: `${PICTURES}/${path}-narrow.png` })
      expect(await overhang()).toBe(0)
    }
  )
})
