/** Debian's Chromium, headless, through playwright-core. */
import { existsSync } from 'node:fs'
import axe from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
export const hasChromium = existsSync(CHROMIUM)
/** Milliseconds. Ample: a browser on a busy machine is slow. */
export const PATIENCE = 20_000

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync'
    ]
  })
}

/** @returns what axe finds wrong with the page, one line for each rule */
export async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run())
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
}

/** What the playground shows as the answer of the API. */
export interface Shown {
  readonly status: string | null
  readonly answer: string
  readonly failed: string[]
  readonly passed: number
}

export async function shownIn(page: Page): Promise<Shown> {
  const result = page.locator('#result')
  return {
    status: await result.getAttribute('data-status'),
    answer: (await result.locator('pre').textContent()) ?? '',
    failed: await result.locator('.checks .failed').allTextContents(),
    passed: await result.locator('.checks .passed').count()
  }
}

/** Presses one of the playground's buttons that break something. */
export async function breakIn(page: Page, what: string): Promise<Shown> {
  await page.click(`[data-break=${what}]`)
  await page.waitForSelector('body[data-state=ready]')
  return shownIn(page)
}

/** @returns the conversation that the playground shows, one text for each exchange */
export async function conversationIn(page: Page): Promise<string[]> {
  const texts = await page.locator('#exchanges summary').allTextContents()
  return texts.map((one) => one.replace(/\s+/g, ' ').trim())
}
