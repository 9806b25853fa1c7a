// @ts-check
/**
 * How many cores other programs use: what the whole machine was busy with, less what this process and its descendants
 * used. Figures that were measured beside others' work say little, and do not belong on a page.
 *
 * On Linux from /proc, at any time. Elsewhere only while this process has no children, because other systems do not report their time.
 * Does NOT count interrupts: those of the benchmark's own requests are among them.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'

/** Above this many cores of others' work, docs/performance.md is not written. */
export const MOST = 0.3

/** Of the kernel's clock in /proc; the same on every architecture that Node.js runs on. */
const TICKS_PER_SECOND = 100

/**
 * Seconds since some moment.
 *
 * @typedef {object} Usage
 * @property {number} at of the clock
 * @property {number} busy of processor time, all programs
 * @property {number} own of processor time, this process and its descendants
 */

/** Ticks that all programs used: user, nice, system, and what the host gave to other machines. @param {string} stat /proc/stat */
export function busyTicks(stat) {
  const [, user = 0, nice = 0, system = 0, , , , , stolen = 0] = (/^cpu .*/m.exec(stat)?.[0] ?? '')
    .split(/ +/)
    .map(Number)
  return user + nice + system + stolen
}

/**
 * Ticks of a process, of its descendants that still run, and of those that have ended.
 *
 * @param {readonly string[]} stats /proc/<pid>/stat of all processes
 * @param {number} root
 */
export function treeTicks(stats, root) {
  const processes = stats.map((stat) => {
    // The name, in parentheses, may hold anything.
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    const ticks = fields.slice(11, 15).reduce((sum, value) => sum + value, 0)
    return { pid: Number.parseInt(stat, 10), parent: fields[1], ticks }
  })
  let sum = 0
  let generation = processes.filter(({ pid }) => pid === root)
  while (generation.length > 0) {
    sum += generation.reduce((all, { ticks }) => all + ticks, 0)
    const parents = new Set(generation.map(({ pid }) => pid))
    generation = processes.filter(({ parent = 0 }) => parents.has(parent))
  }
  return sum
}

/** @param {Usage} before @param {Usage} after @returns {number} cores, on average */
export const othersBetween = (before, after) =>
  Math.max(0, (after.busy - before.busy - (after.own - before.own)) / (after.at - before.at))

/** @returns {Usage | undefined} undefined where there is no /proc */
function usageByProc() {
  try {
    const stats = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => {
        try {
          return [readFileSync(`/proc/${pid}/stat`, 'utf8')]
        } catch {
          return [] // it ended meanwhile
        }
      })
    const busy = busyTicks(readFileSync('/proc/stat', 'utf8')) / TICKS_PER_SECOND
    if (busy === 0) return undefined
    return { at: performance.now() / 1000, busy, own: treeTicks(stats, process.pid) / TICKS_PER_SECOND }
  } catch {
    return undefined
  }
}

/** @returns {Usage} right only while this process has no children */
function usageByCpus() {
  const { user, system } = process.cpuUsage()
  const busy = cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys, 0) / 1000
  return { at: performance.now() / 1000, busy, own: (user + system) / 1_000_000 }
}

/** Before anything is started. @param {number} seconds @returns {Promise<number>} cores */
export async function othersNow(seconds) {
  const usage = usageByProc() ? /** @type {() => Usage} */ (usageByProc) : usageByCpus
  const before = usage()
  await wait(1000 * seconds)
  return othersBetween(before, usage())
}

/** @returns {() => number} cores since now; NaN where it cannot be told */
export function watchOthers() {
  const before = usageByProc()
  return () => {
    const after = usageByProc()
    return before && after ? othersBetween(before, after) : Number.NaN
  }
}

/**
 * Whether figures may be published, and the sentence about it for their page.
 *
 * @param {number} before cores
 * @param {readonly (readonly [scenario: string, cores: number])[]} during NaN where it could not be told
 */
export function judge(before, during) {
  const told = during.filter(([, cores]) => !Number.isNaN(cores))
  const [worst, most] = told.reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0])
  const start = `Other programs used ${before.toFixed(2)} of a core before the run`
  const text =
    told.length < during.length
      ? `${start}; what they used during it is not known on this platform.`
      : `${start}, and at most ${most.toFixed(2)} during a scenario (\`${worst}\`).`
  return { isQuiet: before <= MOST && most <= MOST, text }
}
