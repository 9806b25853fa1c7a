/**
 * Mutation testing of one source file at a time: Stryker breaks it in hundreds of small ways, and for each of them at
 * least one of the file's tests should fail. On demand, and not part of `npm run check`: a file takes minutes.
 *
 *   npm run mutation -- src/jwt/claims.ts [src/policy/policy.ts …]
 *
 * Stryker is no dependency of this package. It is installed on the first run into node_modules/.cache/mutation, where it
 * finds the vitest of this package and nothing else finds it. Leaves a report for each file in coverage/mutation.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const VERSION = '9.6.1'
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const tools = join(root, 'node_modules', '.cache', 'mutation')
const reports = join(root, 'coverage', 'mutation')

/** The tests that are about a file. All of them at once would take hours. */
const TESTS = JSON.parse(readFileSync(join(root, 'test', 'mutation', 'tests.json'), 'utf8'))

const files = process.argv.slice(2)
const unknown = files.filter((file) => !(file in TESTS))
if (files.length === 0 || unknown.length > 0) {
  console.error(`usage: npm run mutation -- <file>…, of ${Object.keys(TESTS).join(', ')}`)
  if (unknown.length > 0) console.error(`no tests are named for ${unknown.join(', ')} in test/mutation/tests.json`)
  process.exit(1)
}

install()
const scores = files.map(mutate)
for (const line of scores) console.log(line)

function install() {
  if (existsSync(join(tools, 'node_modules', '@stryker-mutator', 'vitest-runner'))) return
  mkdirSync(tools, { recursive: true })
  writeFileSync(join(tools, 'package.json'), '{ "private": true }\n')
  // Without its peers: the vitest it drives must be the one that the tests import.
  const packages = ['core', 'vitest-runner'].map((name) => `@stryker-mutator/${name}@${VERSION}`)
  run('npm', ['install', '--no-audit', '--no-fund', '--legacy-peer-deps', ...packages], { cwd: tools })
}

function mutate(file) {
  const report = join(reports, `${basename(file, '.ts')}.json`)
  const config = join(reports, `${basename(file, '.ts')}.config.json`)
  mkdirSync(reports, { recursive: true })
  writeFileSync(
    config,
    JSON.stringify({
      testRunner: 'vitest',
      vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
      // TypeScript 7 has no interface that Stryker could read our settings with; it does not need them.
      tsconfigFile: 'none.json',
      coverageAnalysis: 'perTest',
      mutate: [file],
      reporters: ['clear-text', 'json', 'progress-append-only'],
      clearTextReporter: { allowColor: false, reportTests: false, reportScoreTable: false },
      jsonReporter: { fileName: report },
      tempDirName: 'coverage/stryker',
      ignorePatterns: ['/coverage', '/docs', '/examples', '/bench', '/dist', '/test/fuzz'],
      concurrency: 1,
      timeoutMS: 20_000,
      allowConsoleColors: false,
      warnings: { slow: false }
    })
  )
  const stryker = join(tools, 'node_modules', '@stryker-mutator', 'core', 'bin', 'stryker.js')
  run(process.execPath, [stryker, 'run', config], { env: { ...process.env, MUTATION_TESTS: TESTS[file].join(',') } })
  return scoreOf(file, report)
}

function scoreOf(file, report) {
  const { mutants } = JSON.parse(readFileSync(report, 'utf8')).files[file]
  const count = (...statuses) => mutants.filter(({ status }) => statuses.includes(status)).length
  const [killed, survived] = [count('Killed', 'Timeout'), count('Survived', 'NoCoverage')]
  const score = ((100 * killed) / (killed + survived)).toFixed(1)
  return `${file}: ${mutants.length} mutants, ${killed} killed, ${survived} survived, score ${score} %`
}

function run(command, args, options) {
  const { status } = spawnSync(command, args, { stdio: 'inherit', cwd: root, ...options })
  if (status !== 0) process.exit(status ?? 1)
}
