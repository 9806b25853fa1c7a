// @ts-check
/**
 * Writes evidence.json: what speaks for a version of this package, in one file. Each part says how it was obtained, and when: run in
 * this call, left in coverage/ by an earlier command on this machine, or recorded in a committed file on a date.
 *
 *   npm run evidence -- [--out evidence.json] [--only rules,mutation] [--run conformance,fuzz] [--fuzz-seconds 60]
 *
 * `--run` obtains slow parts in this call: `conformance` (some minutes) and `fuzz` (a minute, or `--fuzz-seconds`). After `npm run
 * build`.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

/**
 * `run`: obtained in this call. `left`: by an earlier command on this machine. `recorded`: in a committed file. `missing`: there is
 * nothing to show.
 *
 * @typedef {{ how: string, source: 'run' | 'left' | 'recorded' | 'missing', when: string | null, data: unknown }} Part
 */

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (/** @type {string} */ path) => readFileSync(join(root, path), 'utf8')
const readJson = (/** @type {string} */ path) => JSON.parse(read(path))

/** @param {string} file @param {readonly string[]} args */
function output(file, args) {
  return execFileSync(file, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'ignore']
  })
}

/** @param {string} how @param {unknown} data @returns {Part} */
const ranNow = (how, data) => ({ how, source: 'run', when: new Date().toISOString(), data })

/** @param {string} how @returns {Part} */
const missing = (how) => ({ how, source: 'missing', when: null, data: null })

/** @param {string} how @param {string} path @param {unknown} data @returns {Part} */
const leftBehind = (how, path, data) => ({
  how: `${how}; read from ${path}`,
  source: 'left',
  when: statSync(join(root, path)).mtime.toISOString(),
  data
})

/**
 * A part of a committed file. Its date is that of the last commit that changed one of its lines; null if the history is cut off.
 *
 * @param {string} how @param {string} path @param {unknown} data @param {readonly [from: number, to: number]} [lines] from 1
 * @returns {Part}
 */
function recorded(how, path, data, lines) {
  return { how: `${how}; recorded in ${path}`, source: 'recorded', when: dateOf(path, lines), data }
}

/** @param {string} path @param {readonly [number, number]} [lines] @returns {string | null} */
function dateOf(path, lines) {
  try {
    if (output('git', ['rev-parse', '--is-shallow-repository']).trim() !== 'false') return null
    const range = lines === undefined ? [] : ['-L', `${lines[0]},${lines[1]}`]
    const blame = output('git', ['blame', '--line-porcelain', ...range, '--', path])
    const times = [...blame.matchAll(/^committer-time (\d+)$/gm)].map(([, seconds]) => Number(seconds))
    return times.length === 0 ? null : new Date(Math.max(...times) * 1000).toISOString().slice(0, 10)
  } catch {
    return null
  }
}

/**
 * The first table of Markdown in a text: an object for each row, by the heads of its columns.
 *
 * @param {string} text @returns {Record<string, string>[]}
 */
export function tableIn(text) {
  const lines = text.split('\n')
  const at = lines.findIndex((line, index) => line.startsWith('|') && /^\|[\s:|-]+\|$/.test(lines[index + 1] ?? ''))
  if (at < 0) return []
  // A pipe within a cell is escaped.
  const cells = (/** @type {string} */ line) =>
    line
      .slice(1, line.lastIndexOf('|'))
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim())
  const heads = cells(/** @type {string} */ (lines[at]))
  const end = lines.findIndex((line, index) => index > at && !line.startsWith('|'))
  return lines
    .slice(at + 2, end < 0 ? undefined : end)
    .map((line) => Object.fromEntries(cells(line).map((cell, index) => [heads[index] ?? String(index), cell])))
}

/**
 * The text between two markers of a page, and the numbers of its lines.
 *
 * @param {string} text @param {string} name @returns {{ text: string, lines: readonly [number, number] }}
 */
export function marked(text, name) {
  const [begin, end] = [text.indexOf(`<!-- ${name}: begin -->`), text.indexOf(`<!-- ${name}: end -->`)]
  if (begin < 0 || end < begin)
    throw new Error(`the page has no markers for ${name}: write <!-- ${name}: begin --> and <!-- ${name}: end -->`)
  const line = (/** @type {number} */ index) => text.slice(0, index).split('\n').length
  return { text: text.slice(begin, end), lines: [line(begin), line(end)] }
}

/** @param {string} how @param {string} name @param {string} [left] what the command leaves in coverage/ @returns {Part} */
function reliability(how, name, left) {
  if (left !== undefined && existsSync(join(root, left))) return leftBehind(how, left, readJson(left))
  const { text, lines } = marked(read('docs/reliability.md'), name)
  return recorded(how, 'docs/reliability.md', tableIn(text), lines)
}

/** @returns {Part} */
function rules() {
  const { status } = spawnSync(process.execPath, ['scripts/rules.mjs', '--check'], { cwd: root })
  if (status !== 0) throw new Error('docs/rules.md is out of date: npm run rules')
  const rows = read('docs/rules.md')
    .split(/^## /m)
    .flatMap((section) => tableIn(section))
    .filter((row) => /^[A-Z]{3,4}-\d{2}$/.test(row['ID'] ?? ''))
  const data = rows.map(({ ID: id, Level: level, Source: source, Tests: tests = '' }) => {
    const reason = /^\*(.*)\*$/.exec(tests)?.[1]
    return { id, level, source, ...(reason === undefined ? { tests: tests.split('<br>') } : { reason }) }
  })
  return ranNow('node scripts/rules.mjs --check: the titles of tests that name each rule, not their results', data)
}

/** @returns {Part} */
function wycheproof() {
  const folder = mkdtempSync(join(tmpdir(), 'evidence-'))
  const file = join(folder, 'wycheproof.json')
  try {
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    const args = ['run', 'test/oracle/wycheproof.test.ts', '--reporter=json', `--outputFile=${file}`]
    spawnSync(process.execPath, [vitest, ...args], { cwd: root, stdio: 'ignore' })
    const { numTotalTests, numPassedTests, numFailedTests } = JSON.parse(readFileSync(file, 'utf8'))
    const vectors = ['json_web_signature_test.json', 'json_web_key_test.json'].map((name) => ({
      file: name,
      vectors: readJson(`test/vectors/${name}`).numberOfTests
    }))
    const data = { vectors, tests: numTotalTests, passed: numPassedTests, failed: numFailedTests }
    return ranNow('npx vitest run test/oracle/wycheproof.test.ts', data)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Each row has its date: the part is as old as the oldest. @returns {Part} */
function mutation() {
  const rows = tableIn(read('docs/mutation.md'))
  const how = 'npm run mutation, a file at a time'
  return {
    ...recorded(how, 'docs/mutation.md', rows),
    when: rows.map((row) => row['Measured'] ?? '').sort()[0] ?? null
  }
}

/** @param {boolean} isRun @returns {Promise<Part>} */
async function conformance(isRun) {
  const how = 'the conformance suite against an API of each adapter (npm run conformance:report)'
  if (!isRun) {
    const path = 'docs/conformance/report.json'
    return existsSync(join(root, path)) ? recorded(how, path, readJson(path)) : missing(how)
  }
  const { holdAdapters } = await import('./conformance-report.mjs')
  const { summaryOf } = await import('./conformance-page.mjs')
  return ranNow(how, summaryOf(await holdAdapters(undefined, () => {})))
}

/** @param {boolean} isRun @param {number} budget seconds @returns {Part} */
function fuzz(isRun, budget) {
  const [how, path] = ['npm run fuzz', 'coverage/fuzz.json']
  if (isRun) {
    const { stderr } = spawnSync(process.execPath, ['scripts/fuzz.mjs', '--seconds', String(budget)], {
      cwd: root,
      encoding: 'utf8'
    })
    // The command removes the counts of an earlier run before it begins.
    if (!existsSync(join(root, path))) throw new Error(`npm run fuzz left no counts in ${path}: ${stderr.trim()}`)
  }
  if (!existsSync(join(root, path))) return missing(how)
  /** @type {{ seed: number, seconds: number, reports: { target: string, executions: number, findings: unknown[] }[] }} */
  const { seed, seconds, reports } = readJson(path)
  const targets = reports.map(({ target, executions, findings }) => ({ target, executions, findings }))
  const data = { seed, seconds, targets }
  return isRun ? ranNow(how, data) : leftBehind(how, path, data)
}

/** @returns {Part} */
function npmPackage() {
  const [packed] = JSON.parse(output('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']))
  const { name, version, filename, integrity, shasum, size, unpackedSize, entryCount } = packed
  const data = { name, version, filename, integrity, shasum, size, unpackedSize, entryCount }
  return ranNow('npm pack --dry-run --json --ignore-scripts, of the build in dist', data)
}

/**
 * The parts, in the order of the file.
 *
 * @type {Record<string, (run: ReadonlySet<string>, fuzzSeconds: number) => Part | Promise<Part>>}
 */
const PARTS = {
  package: npmPackage,
  sbom: () => {
    const args = ['sbom', '--omit', 'dev', '--sbom-format', 'cyclonedx']
    return ranNow(`npm ${args.join(' ')}`, JSON.parse(output('npm', args)))
  },
  conformance: (run) => conformance(run.has('conformance')),
  rules,
  wycheproof,
  faults: () => reliability('npm run test:chaos', 'faults', 'coverage/reliability.json'),
  floods: () => reliability('npm run test:chaos', 'floods'),
  soak: () => reliability('npm run soak', 'soak', 'coverage/soak.json'),
  simulation: () => reliability('npm run simulate -- --bugs: deliberate bugs, and the seeds that find them', 'bugs'),
  mutation,
  fuzz: (run, fuzzSeconds) => fuzz(run.has('fuzz'), fuzzSeconds)
}

/** @param {{ only?: readonly string[] | undefined, run?: readonly string[] | undefined, fuzzSeconds?: number }} options */
export async function evidence({ only = Object.keys(PARTS), run = [], fuzzSeconds = 60 } = {}) {
  if (!(fuzzSeconds > 0)) throw new TypeError('--fuzz-seconds must be a number above 0')
  for (const name of only)
    if (!Object.hasOwn(PARTS, name)) throw new TypeError(`--only ${name}: use ${Object.keys(PARTS).join(', ')}`)
  for (const name of run)
    if (name !== 'conformance' && name !== 'fuzz') throw new TypeError(`--run ${name}: use conformance or fuzz`)
  /** @type {Record<string, Part>} */
  const parts = {}
  for (const [name, obtain] of Object.entries(PARTS))
    if (only.includes(name)) parts[name] = await obtain(new Set(run), fuzzSeconds)
  return {
    version: 1,
    notice:
      'This is no certification by OpenID or MCP. Each part says how it was obtained; the tests and the package have the same authors.',
    created: new Date().toISOString(),
    commit: output('git', ['rev-parse', 'HEAD']).trim(),
    isClean: output('git', ['status', '--porcelain']).trim() === '',
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    parts
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: 'evidence.json' },
      only: { type: 'string' },
      run: { type: 'string' },
      'fuzz-seconds': { type: 'string', default: '60' }
    }
  })
  const made = await evidence({
    only: values.only?.split(','),
    run: values.run?.split(','),
    fuzzSeconds: Number(values['fuzz-seconds'])
  })
  writeFileSync(values.out, `${JSON.stringify(made, null, 2)}\n`)
  for (const [name, { source, when, how }] of Object.entries(made.parts))
    console.log(`${name}: ${source === 'missing' ? 'missing' : `${source}, ${when ?? 'date unknown'}`} (${how})`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
