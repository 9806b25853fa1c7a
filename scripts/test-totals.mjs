// @ts-check
// Says how many tests the last `npm test` ran, and `npm run test:chaos` if it ran since, from the reports they left.
// `--no-skips`: exits 1 if any was skipped.
import { existsSync, readFileSync } from 'node:fs'

const total = { passed: 0, failed: 0, skipped: 0 }
for (const name of ['results', 'chaos']) {
  const file = new URL(`../coverage/${name}.json`, import.meta.url)
  // `npm test` must have run; it removes what others left before.
  if (name !== 'results' && !existsSync(file)) continue
  const report = JSON.parse(readFileSync(file, 'utf8'))
  total.passed += report.numPassedTests
  total.failed += report.numFailedTests
  total.skipped += report.numPendingTests + report.numTodoTests
}
const { passed, failed, skipped } = total
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
if (failed > 0 || passed === 0 || (skipped > 0 && process.argv.includes('--no-skips'))) process.exitCode = 1
