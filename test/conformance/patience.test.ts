/** The wait for an API that starts after the suite, with a clock of the tests. */
import { expect, test } from 'vitest'
import type { WireResponse } from '../../conformance/check.js'
import { untilAnswered } from '../../conformance/engine/patience.js'
import { NoAnswer } from '../../conformance/engine/wire.js'
import { runConformance } from '../../conformance/run.js'
import { startPlain } from './apis.js'

const url = new URL('http://127.0.0.1:8080/orders')
const status = (code: number) => (): WireResponse => ({ status: code, fields: [], body: '' })
const lost = (code: string) => (): never => {
  throw new NoAnswer(Object.assign(new Error('lost'), { code }))
}

/** Waits with these answers, of which the last one is repeated. @returns the delays in milliseconds */
async function delaysOf(
  answers: readonly (() => WireResponse)[],
  more: { readonly rate?: number; readonly issuer?: string; readonly seconds?: number } = {}
): Promise<readonly number[]> {
  const delays: number[] = []
  let clock = 1_000_000
  let sent = 0
  await untilAnswered(url, async () => (answers[sent++] ?? (answers.at(-1) as () => WireResponse))(), {
    seconds: 3,
    now: () => clock,
    wait: async (milliseconds) => {
      delays.push(milliseconds)
      clock += milliseconds
    },
    ...more
  })
  return delays
}

test('sends two requests a second until the API answers, whatever the status', async () => {
  const starting = [lost('ECONNREFUSED'), lost('ECONNRESET'), lost('ETIMEDOUT'), status(502), status(503), status(504)]
  expect(await delaysOf([status(401)])).toEqual([])
  expect(await delaysOf([...starting, status(500)])).toEqual([500, 500, 500, 500, 500, 500])
})

test('sends no more than the rate that the user allows', async () => {
  const answers = [lost('ECONNREFUSED'), status(401)]
  expect(await delaysOf(answers, { rate: 0.5 })).toEqual([2000])
  expect(await delaysOf(answers, { rate: 50 })).toEqual([500])
})

test.each([
  [lost('ECONNREFUSED'), 'no answer (ECONNREFUSED)'],
  [status(503), 'status 503']
])('ends when the seconds are over, and says what to do', async (answer, received) => {
  await expect(delaysOf([answer], { issuer: 'http://127.0.0.1:9797' })).rejects.toThrow(
    `${url.href} was expected to answer within 3 seconds, and the last request got ${received}. Start the API, let it trust the issuer http://127.0.0.1:9797, and look into its log. A slower API needs a longer --wait.`
  )
})

test('does not wait where waiting cannot help', async () => {
  await expect(delaysOf([lost('SELF_SIGNED_CERT_IN_CHAIN'), status(401)])).rejects.toThrow(/is not trusted.*--ca FILE/)
  await expect(delaysOf([lost('EPROTO'), status(401)])).rejects.toThrow(/does not speak TLS/)
  await expect(delaysOf([() => [].at(1) as never, status(401)])).rejects.toThrow(TypeError)
})

test('a run waits before its first counted request', async () => {
  let refused = 0
  const api = await startPlain(({ answer }) => {
    if (++refused <= 2) answer.status = 503
  })
  const { results, requests } = await runConformance(api, { wait: 60, only: ['rfc6750-no-token'] })
  expect(results.map(({ verdict }) => verdict)).toEqual(['passed'])
  expect(refused).toBe(requests + 3)
})
