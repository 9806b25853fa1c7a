/**
 * Waits for an API that starts after the suite: it reads the metadata of its issuer while it starts, and the suite serves that issuer.
 *
 * Does NOT wait for a name that no resolver knows, or for a certificate to become trusted.
 *
 * Tests: `test/conformance/patience.test.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { WireResponse } from '../check.js'
import { adviceOf, isLasting } from './detect.js'
import { RunProblem } from './select.js'
import { NoAnswer } from './wire.js'

/** Milliseconds between two requests: two a second, which any host may be asked. */
const EVERY = 500
/** Answers of a proxy whose server has not started. */
const STARTING: readonly number[] = [502, 503, 504]

export interface PatienceOptions {
  readonly seconds: number
  /** Requests a second. Default and maximum 2. */
  readonly rate?: number | undefined
  /** The issuer that the API must know to start. */
  readonly issuer?: string | undefined
  /** For tests. Default: timers. */
  readonly wait?: ((milliseconds: number) => Promise<unknown>) | undefined
  /** Milliseconds. For tests. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

/**
 * Sends requests until the API answers one.
 *
 * @throws {RunProblem} it does not within the seconds, or waiting cannot help
 */
export async function untilAnswered(
  url: URL,
  send: () => Promise<WireResponse>,
  { seconds, rate = Number.POSITIVE_INFINITY, issuer, wait = sleep, now = Date.now }: PatienceOptions
): Promise<void> {
  const until = now() + seconds * 1000
  for (;;) {
    const received = await attempt(url, send)
    if (received === undefined) return
    if (now() >= until) {
      const trusting = issuer === undefined ? '' : `, let it trust the issuer ${issuer}`
      throw new RunProblem(
        `${url.href} was expected to answer within ${seconds} seconds, and the last request got ${received}. Start the API${trusting}, and look into its log. A slower API needs a longer --wait.`
      )
    }
    await wait(Math.max(EVERY, 1000 / rate))
  }
}

/** @returns the reason why no answer came; undefined after an answer */
async function attempt(url: URL, send: () => Promise<WireResponse>): Promise<string | undefined> {
  try {
    const { status } = await send()
    return STARTING.includes(status) ? `status ${status}` : undefined
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error
    if (isLasting(error)) throw new RunProblem(adviceOf(error, url), { cause: error })
    return `no answer (${error.code})`
  }
}
