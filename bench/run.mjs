// @ts-check
/**
 * Measures the cost of verification, and compares it with other packages.
 *
 *   npm run bench                        everything, in less than ten minutes; writes docs/performance.md and its chart
 *   npm run bench -- --quick             a minute: rough
 *   npm run bench -- --only hot,dpop     these scenarios; what the others found stays out, and nothing is written
 *   npm run bench -- --package <dir>     another checkout that was built
 *
 * Says what was reached, and exits with 0 all the same: a benchmark is not a test.
 */

import { availableParallelism, loadavg } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createContext, EFFORTS } from './lib/context.mjs'
import { printResult, writeReport } from './lib/report.mjs'
import dpop from './scenarios/dpop.mjs'
import firstSight from './scenarios/first-sight.mjs'
import frameworks from './scenarios/frameworks.mjs'
import hot from './scenarios/hot.mjs'
import imports from './scenarios/import.mjs'
import introspection from './scenarios/introspection.mjs'
import refusals from './scenarios/refusals.mjs'
import saturated from './scenarios/saturated.mjs'
import scale from './scenarios/scale.mjs'

const SCENARIOS = [hot, firstSight, saturated, refusals, dpop, frameworks, introspection, scale, imports]

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    package: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) }
  }
})
const wanted = values.only?.split(',')
const unknown = wanted?.filter((name) => !SCENARIOS.some((one) => one.name === name)) ?? []
if (unknown.length > 0) {
  console.error(`no scenario ${unknown.join(', ')}: there are ${SCENARIOS.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}

const started = performance.now()
const progress = (/** @type {string} */ text) => {
  console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${text}`)
}
const [load = 0] = loadavg()
if (load > availableParallelism() / 4)
  progress(`load average ${load.toFixed(1)}: this machine is busy, the figures will say little`)
const effort = values.quick ? EFFORTS.quick : EFFORTS.full
const context = await createContext(resolve(values.package), effort, progress)
/** @type {import('./lib/report.mjs').Finding[]} */
const findings = []
for (const scenario of SCENARIOS) {
  if (wanted && !wanted.includes(scenario.name)) continue
  progress(scenario.name)
  const finding = { scenario, result: await scenario.run(context) }
  findings.push(finding)
  printResult(finding)
}
await context.close()
if (!wanted && !values.quick) writeReport(findings, (performance.now() - started) / 1000)
