// @ts-check
// Says how many tests the last `npm test` ran, from the report it left. `--no-skips`: exits 1 if any was skipped.
import { readFileSync } from 'node:fs'

const report = JSON.parse(readFileSync(new URL('../coverage/results.json', import.meta.url), 'utf8'))
const { numPassedTests: passed, numFailedTests: failed, numPendingTests: pending, numTodoTests: todo } = report
const skipped = pending + todo
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
if (failed > 0 || passed === 0 || (skipped > 0 && process.argv.includes('--no-skips'))) process.exitCode = 1
