// @ts-check
/** Photographs the playground in Chromium: a token for another API, its refusal, and the check that failed. */
import { hash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { chromium } from 'playwright-core'
import { startServer } from '../../examples/authorization-server/server.mjs'
import { startPlayground } from '../../examples/playground/server.mjs'
import { reduce } from './png.mjs'

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
export const hasChromium = existsSync(CHROMIUM)

/** Milliseconds. A browser on a busy machine is slow. */
const PATIENCE = 60_000

/** The wide pictures show the page to the end of the answer, the narrow ones only the answer. */
const VIEWS = /** @type {const} */ ([
  { name: 'playground-1280-light.png', width: 1280, colorScheme: 'light' },
  { name: 'playground-1280-dark.png', width: 1280, colorScheme: 'dark' },
  { name: 'playground-400-light.png', width: 400, colorScheme: 'light' },
  { name: 'playground-400-dark.png', width: 400, colorScheme: 'dark' }
])

/**
 * @typedef {object} Photograph
 * @property {string} name of the file
 * @property {string} page SHA-256 of what was photographed: the elements and the style, with constants for what is new at each run
 * @property {() => Promise<Buffer>} take
 */

/** @param {(photograph: Photograph) => Promise<void>} use called for each view, while its page is open */
export async function photograph(use) {
  const style = await readFile(new URL('../../examples/playground/style.css', import.meta.url), 'utf8')
  const server = await startServer()
  const playground = await startPlayground({ url: `${server.origin}/v2/messages` })
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
  try {
    for (const { name, width, colorScheme } of VIEWS) {
      const context = await browser.newContext({
        viewport: { width, height: 900 },
        deviceScaleFactor: width < 500 ? 2 : 1,
        colorScheme,
        reducedMotion: 'reduce'
      })
      const page = await context.newPage()
      page.setDefaultTimeout(PATIENCE)
      await page.goto(playground.url)
      await getRefused(page)
      const elements = constant(await page.locator('body').evaluate((body) => body.outerHTML))
      await use({
        name,
        page: hash('sha256', `${width} ${colorScheme}\n${style}\n${elements}`),
        take: async () => reduce(await page.screenshot({ fullPage: true, clip: await clipOf(page, width) }))
      })
      await context.close()
    }
  } finally {
    await browser.close()
    await playground.close()
    await server.close()
  }
}

/** @param {import('playwright-core').Page} page */
async function getRefused(page) {
  await page.click('#start button[type=submit]')
  await page.click('button[value=allow]')
  await page.waitForSelector('body[data-state=ready]')
  await page.click('[data-break=audience]')
  await page.waitForSelector('#result[data-status="401"] .checks .failed')
  await page.waitForSelector('body[data-state=ready]')
  // No button is drawn as pointed at.
  await page.mouse.move(0, 0)
}

/** @param {import('playwright-core').Page} page @param {number} width */
async function clipOf(page, width) {
  const isNarrow = width < 500
  const margin = 8
  // The page scrolls to its answer; a clip is counted from the top.
  const { top, bottom } = await page.locator('#answer').evaluate((answer) => {
    const start = answer.ownerDocument.documentElement.getBoundingClientRect().top
    const box = answer.getBoundingClientRect()
    return { top: box.top - start, bottom: box.bottom - start }
  })
  const y = isNarrow ? Math.floor(top - margin) : 0
  return { x: 0, y, width, height: Math.ceil(bottom + margin - y) }
}

/** Replaces what is new at each run: origins, tokens, identifiers and times. @param {string} html */
export function constant(html) {
  return html
    .replace(/127\.0\.0\.1(:|%3A)\d+/g, '127.0.0.1')
    .replace(/\b(?:in )?\d+ (?:second|minute|hour)s?(?: ago)?\b|\bnow\b/g, '(time)')
    .replace(/\b\d{10}\b/g, '(seconds)')
    .replace(/\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g, '(identifier)')
    .replace(/(?<=state=)[\w-]+/g, '(state)')
    .replace(/[\w-]*\.[\w-]{40,}\.?[\w-]*|[\w-]{40,}/g, '(token)')
    .replace(/(?<=>)[\w-]{16,}(?=<)/g, '(identifier)')
}
