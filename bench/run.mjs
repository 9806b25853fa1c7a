// @ts-check
/**
 * Measures the cost of verification, and compares it with other packages.
 *
 *   npm run bench                        everything, in about twenty minutes; writes docs/performance.md and its chart
 *   npm run bench -- --quick             five minutes: shows that everything works; too few rounds for a measure
 *   npm run bench -- --only hot,dpop     these scenarios; what the others found stays out, and nothing is written
 *   npm run bench -- --package <dir>     another checkout that was built
 *
 * Says what was reached, and exits with 0 all the same: a benchmark is not a test. Above 0.3 core of other programs'
 * work, before it or during a scenario, it prints all tables, leaves docs/performance.md as it is, and exits with 1.
 */

import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createContext, EFFORTS } from './lib/context.mjs'
import { judge, MOST, othersNow, watchOthers } from './lib/neighbours.mjs'
import { printResult, writeReport } from './lib/report.mjs'
import dpop from './scenarios/dpop.mjs'
import firstSight from './scenarios/first-sight.mjs'
import frameworks from './scenarios/frameworks.mjs'
import hot from './scenarios/hot.mjs'
import imports from './scenarios/import.mjs'
import inAServer from './scenarios/in-a-server.mjs'
import introspection from './scenarios/introspection.mjs'
import nodes from './scenarios/nodes.mjs'
import refusals from './scenarios/refusals.mjs'
import saturated from './scenarios/saturated.mjs'
import scale from './scenarios/scale.mjs'

const SCENARIOS = [
  hot,
  firstSight,
  inAServer,
  saturated,
  refusals,
  dpop,
  frameworks,
  introspection,
  scale,
  imports,
  nodes
]

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
const before = await othersNow(3)
const isMeasure = !values.quick && before <= MOST
if (!isMeasure) {
  progress(
    values.quick
      ? '--quick: as warm as the full run, but with too few rounds for a measure'
      : `other programs use ${before.toFixed(1)} cores: the figures will say little, and docs/performance.md is not written`
  )
}
const effort = values.quick ? EFFORTS.quick : EFFORTS.full
const context = await createContext(resolve(values.package), effort, progress)
/** @type {import('./lib/report.mjs').Finding[]} */
const findings = []
/** @type {[string, number][]} */
const during = []
for (const scenario of SCENARIOS) {
  if (wanted && !wanted.includes(scenario.name)) continue
  progress(scenario.name)
  const others = watchOthers()
  const finding = { scenario, result: await scenario.run(context) }
  during.push([scenario.name, others()])
  findings.push(finding)
  printResult(finding)
}
await context.close()
const { isQuiet, text: neighbours } = judge(before, during)
console.log(`\n${neighbours}${values.quick ? ' --quick has too few rounds for a measure.' : ''}`)
if (!wanted && !values.quick) {
  if (isQuiet) writeReport(findings, { seconds: (performance.now() - started) / 1000, neighbours })
  else {
    console.log(`Above ${MOST} of a core these figures are not for docs/performance.md, which stays as it was.`)
    process.exitCode = 1
  }
}
