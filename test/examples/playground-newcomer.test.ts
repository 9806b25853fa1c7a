/**
 * A newcomer's path in a real browser: README's Express server with CORS, the command `issuer`, and the playground at the
 * server's URL, until every request was broken. Needs `npm run build`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startPlayground } from '../../examples/playground/server.mjs'
import { breakIn, conversationIn, faultsOf, hasChromium, launch, PATIENCE, shownIn } from '../support/browser.js'
import { freePort } from '../support/ports.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Inside the package, so that the server finds it by its name. */
const FOLDER = `${ROOT}coverage/newcomer`
const PICTURES = `${ROOT}coverage/playground`

/** The lines that a newcomer adds so that scripts of other origins may call the server. */
const CORS = `
app.use((req, res, next) => {
  res.set({
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Headers': 'Authorization, DPoP, Content-Type',
    'Access-Control-Expose-Headers': 'WWW-Authenticate, DPoP-Nonce'
  })
  if (req.method === 'OPTIONS') res.sendStatus(204)
  else next()
})
`

const closers: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** Starts a process, and waits until its output has these words. @returns the output */
async function start(args: string[], words: RegExp, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, NODE_ENV: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  closers.push(() => ended(child))
  let output = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    output += chunk
    if (words.test(output)) break
  }
  expect(output).toMatch(words)
  return output
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

describe.skipIf(!hasChromium)('from nothing to a broken token', { timeout: 180_000 }, () => {
  let browser: Browser
  let url: string
  let playground: Awaited<ReturnType<typeof startPlayground>>

  beforeAll(async () => {
    const port = await freePort()
    const resource = `http://localhost:${port}`
    url = `${resource}/orders`
    const printed = await start(
      ['dist/src/cli/main.js', 'issuer', '--resource', resource, '--scope', 'orders:read', '--port', '0'],
      /Ctrl-C ends it/
    )
    const [, issuer = ''] = /OAUTH_RS_ISSUER=(\S+)/.exec(printed) ?? []
    mkdirSync(FOLDER, { recursive: true })
    const readme = readFileSync(`${ROOT}examples/express.mjs`, 'utf8')
    const withCors = readme.replace('const app = express()\n', `const app = express()\n${CORS}`)
    expect(withCors).not.toBe(readme)
    writeFileSync(`${FOLDER}/server.mjs`, withCors)
    const env = { ISSUER: issuer, RESOURCE: resource, PORT: String(port) }
    await start([`${FOLDER}/server.mjs`], /http:\/\/localhost/, env)
    playground = await startPlayground({ url })
    closers.push(playground.close)
    browser = await launch()
    closers.push(() => browser.close())
  }, 120_000)

  async function getToken(page: Page, isBound: boolean): Promise<void> {
    await page.goto(playground.url)
    await page.setChecked('#dpop', isBound)
    await page.click('#start button[type=submit]')
    await page.click('button[value=allow]')
    await page.waitForSelector('body[data-state=ready]')
  }

  test.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 400],
    ['dark', 400]
  ] as const)('shows status and reason of every break: %s, %d pixels wide', async (colorScheme, width) => {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } })
    const page = await context.newPage()
    page.setDefaultTimeout(PATIENCE)
    const complaints: string[] = []
    page.on('pageerror', ({ message }) => complaints.push(message))
    await getToken(page, false)
    expect(await page.isHidden('#notices')).toBe(true)
    expect(await conversationIn(page)).toContain('To the authorization server: POST /token. Answer: 200 access_token')
    expect(await shownIn(page)).toMatchObject({ status: '200', failed: [] })
    expect(await page.textContent('#result')).toContain('The checks of an API with default options')
    const expected = [
      ['none', '401', 'credentials_missing'],
      ['expired', '401', 'expired'],
      ['audience', '401', 'audience'],
      ['scope', '403', 'insufficient_scope'],
      ['tampered', '401', 'signature']
    ] as const
    for (const [what, status, reason] of expected) {
      const shown = await breakIn(page, what)
      expect({ what, ...shown }).toMatchObject({ what, status, failed: [expect.stringMatching(reason)] })
    }
    expect(await faultsOf(page)).toEqual([])
    await page.screenshot({ path: `${PICTURES}/newcomer-${colorScheme}-${width}.png`, fullPage: true })
    const height = await page.evaluate('document.documentElement.scrollHeight')
    expect(height).toBeLessThan(3 * 900)

    await getToken(page, true)
    expect(await shownIn(page)).toMatchObject({ status: '200', failed: [] })
    expect(await breakIn(page, 'replay')).toMatchObject({
      status: '401',
      failed: [expect.stringContaining('proof_replayed')]
    })
    expect(await breakIn(page, 'downgrade')).toMatchObject({
      status: '401',
      failed: [expect.stringContaining('dpop_downgrade')]
    })
    for (const [what, status] of [
      ['expired', '401'],
      ['audience', '401'],
      ['scope', '403']
    ] as const)
      expect(await breakIn(page, what)).toMatchObject({ status })
    expect(complaints).toEqual([])
    await context.close()
  })
})
