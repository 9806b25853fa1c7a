// @ts-check
/**
 * Simulates fleets: the real package, several processes at a time, in a world driven by one seed.
 *
 *   npm run simulate -- [--seed 1] [--runs 2000] [--jobs 2]     plays runs; exits 1 if a rule was broken, and tells the story
 *   npm run simulate -- --seed 7 --path 12:0 --replay AB:CD     repeats a failure
 *   npm run simulate -- --bug no-recheck                        plays the package with one deliberate bug of test/simulation/bugs.ts
 *   npm run simulate -- --bugs [--seed 1]                       finds each deliberate bug; writes docs/reliability.md
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadTypeScript } from './load-typescript.mjs'

/** @typedef {{ seed: number, runs: number, path?: string, replayPath?: string }} Campaign */
/** @typedef {{ what: string, story: string[], path: string, replayPath: string, after: number }} Failure */
/** @typedef {{ runs: number, steps: number, seconds: number, took: number, digest: string, failure?: Failure }} Report */

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '2000' },
    jobs: { type: 'string', default: '2' },
    path: { type: 'string' },
    replay: { type: 'string' },
    bug: { type: 'string', default: '' },
    bugs: { type: 'boolean', default: false }
  }
})

/** Runs in which each deliberate bug must be found: as many as the tests play. */
const BUDGET = 2000

const number = (/** @type {'seed' | 'runs' | 'jobs'} */ name) => {
  const value = Number(values[name])
  if (!Number.isInteger(value) || value < 0)
    throw new TypeError(`--${name} must be a whole number, not ${values[name]}`)
  return value
}

process.exitCode = values.bugs ? await findBugs(number('seed')) : await simulate()

/** Plays one campaign in a process of its own. @param {Campaign} campaign @param {string} bug @returns {Promise<Report>} */
async function play(campaign, bug) {
  const folder = mkdtempSync(join(tmpdir(), 'simulate-'))
  const report = join(folder, 'report.json')
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', '--config', 'test/simulation/vitest.config.ts'], {
    cwd: root,
    env: { ...process.env, SIMULATE_BUG: bug, SIMULATE: JSON.stringify({ ...campaign, report }) }
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  await new Promise((ended) => child.on('close', ended))
  try {
    return JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    throw new Error(`the simulation did not end:\n${output}`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function simulate() {
  const [seed, runs] = [number('seed'), number('runs')]
  const { path, replay } = values
  const jobs = path === undefined ? Math.max(1, Math.min(number('jobs'), runs)) : 1
  const began = performance.now()
  const reports = await Promise.all(
    Array.from({ length: jobs }, async (_, job) => {
      const campaign = { seed: seed + job, runs: Math.ceil(runs / jobs), ...(path && { path, replayPath: replay }) }
      return { seed: campaign.seed, ...(await play(campaign, values.bug)) }
    })
  )
  for (const { seed: own, failure } of reports) if (failure) tell(own, failure)
  const sum = (/** @type {'runs' | 'steps' | 'seconds'} */ what) => reports.reduce((all, one) => all + one[what], 0)
  const hours = Math.round(sum('seconds') / 3600)
  const took = Math.round((performance.now() - began) / 1000)
  const digests = reports.map(({ digest }) => digest).join(' ')
  console.log(`${sum('runs')} runs, ${sum('steps')} events, ${hours} simulated hours in ${took} s, trace ${digests}`)
  return reports.some(({ failure }) => failure !== undefined) ? 1 : 0
}

/** @param {number} seed @param {Failure} failure */
function tell(seed, { story, what, path, replayPath }) {
  console.log(`${story.join('\n')}\n${story.length === 0 || !story.at(-1)?.includes('WRONG') ? what : ''}`)
  console.log(`To repeat it: npm run simulate -- --seed ${seed} --path ${path} --replay ${replayPath}\n`)
}

/** @param {number} seed */
async function findBugs(seed) {
  /** @type {{ BUGS: { name: string, what: string }[] }} */
  const { BUGS } = await loadTypeScript('test/simulation/bugs.ts')
  const rows = []
  for (const { name, what } of BUGS) {
    const { failure, took } = await play({ seed, runs: BUDGET }, name)
    if (failure)
      console.log(`${name}: found after ${failure.after} runs, ${Math.round(took)} s\n${failure.story.join('\n')}\n`)
    else console.log(`${name}: NOT found in ${BUDGET} runs, ${Math.round(took)} s\n`)
    rows.push({ name, what, seed, after: failure?.after, lines: failure?.story.length, took })
  }
  writeTable(rows)
  return rows.some(({ after }) => after === undefined) ? 1 : 0
}

/** @param {{ name: string, what: string, seed: number, after?: number | undefined, lines?: number | undefined, took: number }[]} rows */
function writeTable(rows) {
  const file = join(root, 'docs', 'reliability.md')
  const text = readFileSync(file, 'utf8')
  const table = [
    '| Deliberate bug | Seed | Found after | Lines of the story | Seconds, with shrinking |',
    '|---|---|---|---|---|',
    ...rows.map(
      ({ what, seed, after, lines, took }) =>
        `| ${what} | ${seed} | ${after === undefined ? 'not found' : `${after} run${after === 1 ? '' : 's'}`} | ${lines ?? '—'} | ${Math.round(took)} |`
    )
  ].join('\n')
  const [begin, end] = ['<!-- bugs: begin -->', '<!-- bugs: end -->']
  if (!text.includes(begin) || !text.includes(end))
    throw new Error(`${file} has no place for the table: ${begin} … ${end}`)
  writeFileSync(
    file,
    `${text.slice(0, text.indexOf(begin) + begin.length)}\n${table}\n${text.slice(text.indexOf(end))}`
  )
}
