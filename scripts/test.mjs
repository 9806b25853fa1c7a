// @ts-check
/**
 * Runs the tests with coverage, and decides what the result means.
 *
 *   node scripts/test.mjs [--no-skips] [vitest arguments]   runs them; exits 1 if a test failed, or if nothing was skipped
 *                                                           and the coverage is below a threshold
 *   node scripts/test.mjs --totals                          runs nothing; sums up the reports of the last run and of
 *                                                           `npm run test:chaos`; exits 1 if a test failed or was skipped
 *
 * The thresholds hold only where nothing was skipped: without a server or a browser, the code that needs one is not run.
 * `--no-skips` (CI): a skipped test is a failure.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'

/** Percent, for all files of a folder together. */
const THRESHOLDS = { lines: 95, branches: 90, functions: 95, statements: 95 }
const FOLDERS = ['src', 'adapters', 'integrations', 'test-kit']

/** Tests that are skipped where something is not installed, and how to get it. */
const NEEDS = [
  { tests: /^test\/redis\//, apt: 'redis-server' },
  { tests: /^test\/examples\/playground/, apt: 'chromium' },
  { tests: /^test\/examples\/demo/, apt: 'bsdutils' },
  { tests: /^test\/examples\/hosts/, command: 'npm install --prefix .ci/hosts' },
  { tests: /^test\/counterparts\/servers/, command: 'npm install --ignore-scripts --prefix .ci/counterparts' }
]

const RESULTS = 'coverage/results.json'
const SUMMARY = 'coverage/coverage-summary.json'
const CHAOS = 'coverage/chaos.json'

const own = ['--no-skips', '--totals']
const args = process.argv.slice(2)
const refusesSkips = args.some((arg) => own.includes(arg))
process.exitCode = args.includes('--totals') ? totals() : run(args.filter((arg) => !own.includes(arg)))

/** @param {string[]} more */
function run(more) {
  // A report of an earlier run must not be taken for one of this run.
  for (const file of [RESULTS, SUMMARY, CHAOS]) rmSync(file, { force: true })
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${RESULTS}`]
  const coverage = [
    '--coverage',
    ...['text-summary', 'html', 'json-summary'].map((one) => `--coverage.reporter=${one}`)
  ]
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...coverage, ...more], {
    stdio: 'inherit'
  })
  if (!existsSync(RESULTS)) return status || 1
  const counts = count([RESULTS])
  const low = status === 0 && counts.skipped === 0 ? shortfalls() : []
  for (const line of low) console.error(line)
  console.log(summary(counts))
  return status || low.length > 0 || (refusesSkips && counts.skipped > 0) ? 1 : 0
}

function totals() {
  const counts = count(existsSync(CHAOS) ? [RESULTS, CHAOS] : [RESULTS])
  console.log(summary(counts))
  return counts.failed > 0 || counts.passed === 0 || counts.skipped > 0 ? 1 : 0
}

/** @param {string[]} reports */
function count(reports) {
  const counts = { passed: 0, failed: 0, skipped: 0, /** @type {Set<string>} */ files: new Set() }
  for (const report of reports) {
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'))
    counts.passed += numPassedTests
    counts.failed += numFailedTests
    for (const { name, assertionResults } of testResults) {
      const skipped = assertionResults.filter((/** @type {{ status: string }} */ { status }) =>
        ['pending', 'skipped', 'todo', 'disabled'].includes(status)
      ).length
      counts.skipped += skipped
      if (skipped > 0) counts.files.add(relative('', name).replaceAll('\\', '/'))
    }
  }
  return counts
}

/** @param {ReturnType<typeof count>} counts */
function summary({ passed, failed, skipped, files }) {
  const line = `${passed} passed, ${failed} failed`
  if (skipped === 0) return line
  const missing = NEEDS.filter(({ tests }) => [...files].some((file) => tests.test(file)))
  const packages = missing.flatMap(({ apt }) => apt ?? [])
  const commands = missing.flatMap(({ command }) => command ?? [])
  if (packages.length > 0) commands.unshift(`apt-get install ${packages.join(' ')}`)
  const others = [...files].filter((file) => !NEEDS.some(({ tests }) => tests.test(file)))
  const reasons = [
    ...(commands.length > 0 ? [`to run what needs more than npm ci: ${commands.join('; ')}`] : []),
    ...(others.length > 0 ? [`skipped by the tests themselves or by a filter: ${others.join(', ')}`] : [])
  ]
  return `${line}, ${skipped} skipped (${reasons.join('; ')}; coverage thresholds were not applied)`
}

function shortfalls() {
  const files = Object.entries(JSON.parse(readFileSync(SUMMARY, 'utf8')))
  return FOLDERS.flatMap((folder) => {
    const covered = files.filter(([file]) => relative('', file).replaceAll('\\', '/').startsWith(`${folder}/`))
    if (covered.length === 0) return [`Coverage of ${folder}: there is none`]
    return Object.entries(THRESHOLDS).flatMap(([kind, least]) => {
      const sum = (/** @type {'covered' | 'total'} */ what) =>
        covered.reduce((all, [, one]) => all + one[kind][what], 0)
      const percent = sum('total') === 0 ? 100 : (100 * sum('covered')) / sum('total')
      return percent >= least ? [] : [`Coverage of ${folder}: ${percent.toFixed(2)} % of ${kind}, below ${least} %`]
    })
  })
}
