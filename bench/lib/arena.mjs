// @ts-check
/**
 * Starts the authorization server and the contenders, and gives each contender its rounds, in another order each time.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deviation, median, ratios } from './stats.mjs'

/** @typedef {import('./types.d.ts').Cost} Cost */
/** @typedef {import('./types.d.ts').Task} Task */
/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

const here = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url))

/**
 * Starts the authorization server and has it sign everything.
 *
 * @param {string} builtPackage directory with `dist/`
 * @param {number} tokens of each algorithm; more than any cache holds, so that going through them never finds one
 */
export async function startAuthority(builtPackage, tokens = 12_000) {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'))
  const file = join(directory, 'fixture.json')
  const child = fork(here('authority.mjs'), [file, String(tokens), builtPackage])
  await message(child)
  /** @type {import('./types.d.ts').Fixture} */
  const fixture = JSON.parse(readFileSync(file, 'utf8'))
  return {
    file,
    fixture,
    asked: async () => /** @type {Promise<Record<string, number>>} */ ((await fetch(`${fixture.issuer}/asked`)).json()),
    close: () => {
      child.disconnect()
      rmSync(directory, { recursive: true, force: true })
    }
  }
}

/**
 * @param {ChildProcess} child
 * @returns {Promise<any>}
 */
export function message(child) {
  return new Promise((resolve, reject) => {
    const gone = (/** @type {number | null} */ code) => {
      child.off('message', heard)
      reject(new Error(`a process of the benchmark ended with ${code}`))
    }
    const heard = (/** @type {any} */ said) => {
      child.off('exit', gone)
      if (said.error) reject(new Error(said.error))
      else resolve(said)
    }
    child.once('exit', gone)
    child.once('message', heard)
  })
}

/**
 * @param {string} file the fixture
 * @param {string} label
 * @param {readonly import('./types.d.ts').Lane[]} lanes
 * @param {readonly string[]} [flags] of node
 * @param {string} [node] path of another one
 */
export async function startContender(file, label, lanes, flags = [], node = process.execPath) {
  const child = fork(here('contender.mjs'), [file, JSON.stringify(lanes)], {
    execPath: node,
    execArgv: [...flags],
    env: { ...process.env, NODE_NO_WARNINGS: '1' }
  })
  await message(child)
  return {
    label,
    /** @param {Task} task @returns {Promise<Cost[]>} in each lane */
    round: async (task) => {
      child.send(task)
      return (await message(child)).costs
    },
    close: () => child.disconnect()
  }
}

/** @typedef {Awaited<ReturnType<typeof startContender>>} Contender */

/** Rounds that make the code hot and count for nothing. */
const WARM_UP = 3

/**
 * @param {readonly Contender[]} contenders
 * @param {Task} task
 * @param {number} rounds
 * @returns {Promise<Map<string, Cost[][]>>} by label: for each round, the cost in each lane
 */
export async function interleave(contenders, task, rounds) {
  /** @type {Map<string, Cost[][]>} */
  const costs = new Map(contenders.map(({ label }) => [label, []]))
  for (let round = -WARM_UP; round < rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + round + WARM_UP) % contenders.length]
      if (!contender) continue
      const cost = await contender.round(task)
      if (round >= 0) costs.get(contender.label)?.push(cost)
    }
  }
  return costs
}

/**
 * How often as fast the first lane is as the second, as medians over the rounds: outliers are other programs' doing.
 *
 * @param {readonly Cost[][]} rounds
 */
export function compareLanes(rounds) {
  const column = (/** @type {number} */ lane, /** @type {keyof Cost} */ kind) =>
    rounds.map((costs) => costs[lane]?.[kind] ?? Number.NaN)
  const of = (/** @type {number} */ lane) => ({
    wall: median(column(lane, 'wall')),
    cpu: median(column(lane, 'cpu')),
    call: median(column(lane, 'call'))
  })
  const cpu = ratios(column(1, 'cpu'), column(0, 'cpu'))
  const wall = ratios(column(1, 'wall'), column(0, 'wall'))
  const call = ratios(column(1, 'call'), column(0, 'call'))
  return { cpu: median(cpu), wall: median(wall), call: median(call), spread: deviation(cpu), own: of(0), other: of(1) }
}
