/** One campaign of `npm run simulate`, as its environment says. Writes a report for the script. */
import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Campaign, campaign } from './run.js'

const { report: file, ...asked } = JSON.parse(process.env['SIMULATE'] ?? '{"seed":1,"runs":20}') as Campaign & {
  readonly report?: string
}

test(`${asked.runs} simulated fleets from seed ${asked.seed}`, async () => {
  const began = performance.now()
  const report = await campaign(asked)
  const took = (performance.now() - began) / 1000
  if (file !== undefined) writeFileSync(file, JSON.stringify({ ...report, took }))
  expect(report.failure?.story.join('\n') ?? '').toBe('')
})
