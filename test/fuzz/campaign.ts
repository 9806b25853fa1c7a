/**
 * `npm run fuzz`: new inputs for each target for a while. What breaks a rule is made small, written to coverage/fuzz (with
 * `--keep`: into the corpus, which `npm test` replays), and fails the run. The same seed gives the same inputs in the same order; only how far it gets depends on
 * the machine. Not part of `npm test`.
 *
 * An input that is never done with is written to coverage/fuzz-hang.txt by a thread that watches, and ends the process.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { appendCase, CORPUS, FINDINGS, readCorpus, UNKNOWN } from './corpus.js'
import { inputs } from './mutate.js'
import type { Target } from './target.js'
import { type Entry, TARGETS } from './targets.js'
import { expand, quote, writeOut } from './template.js'

const options = JSON.parse(process.env['FUZZ'] ?? '{}') as {
  seconds?: number
  seed?: number
  target?: string
  keep?: boolean
}
const { seconds = 60, seed = 1, target: only, keep = false } = options
const names = Object.keys(TARGETS).filter((name) => only === undefined || name === only)

/** Inputs between two looks at the time; also how often what is new joins the seeds. */
const BATCH = 200
/** Milliseconds for one input: far more than any needs. */
const SLOW = 2000
/** Bytes of heap that a target may have more at its end than after its first batches: a coarse guard. */
const MAX_GROWTH = 64 * 1024 * 1024
const MAX_FINDINGS = 5

interface Report {
  readonly target: string
  executions: number
  readonly verdicts: Record<string, number>
  readonly findings: string[]
  /** Files that findings were written to. */
  readonly written: string[]
  growth: number
}
const reports: Report[] = []

/** The input under way, where the watching thread can read it: a counter, its length, its characters. */
const shared = new SharedArrayBuffer(8 + 2 * 100_000)
const state = new Int32Array(shared, 0, 2)
const watched = new Uint16Array(shared, 8)
const stray: unknown[] = []

let watcher: Worker
beforeAll(() => {
  mkdirSync('coverage', { recursive: true })
  watcher = new Worker(WATCHER, {
    eval: true,
    workerData: { shared, file: 'coverage/fuzz-hang.txt', pid: process.pid }
  })
  process.on('unhandledRejection', (error) => stray.push(error))
  process.on('uncaughtException', (error) => stray.push(error))
})
afterAll(async () => {
  await watcher.terminate()
  writeFileSync('coverage/fuzz.json', `${JSON.stringify({ seed, seconds, reports }, null, 2)}\n`)
})

const WATCHER = `
  const { workerData: { shared, file, pid } } = require('node:worker_threads')
  const [state, text] = [new Int32Array(shared, 0, 2), new Uint16Array(shared, 8)]
  let before = [-1, 0]
  setInterval(() => {
    if (state[0] !== before[0]) before = [state[0], 0]
    else if (++before[1] > 30 && state[1] > 0) {
      require('node:fs').writeFileSync(file, String.fromCharCode(...text.subarray(0, state[1])), 'latin1')
      process.kill(pid, 'SIGKILL')
    }
  }, 1000)`

/** One input, with everything that holds whatever the target. @throws a finding */
async function attempt(target: Target, bytes: string): Promise<string> {
  const begun = performance.now()
  const length = Math.min(bytes.length, watched.length)
  for (let i = 0; i < length; i++) watched[i] = bytes.charCodeAt(i)
  state[1] = length
  Atomics.add(state, 0, 1)
  try {
    const verdict = await target.run(bytes)
    if (performance.now() - begun > SLOW) throw new Error(`slow: it took more than ${SLOW} ms`)
    await new Promise(setImmediate)
    if (stray.length > 0) throw new Error(`left behind: ${String(stray.splice(0)[0])}`)
    return verdict
  } finally {
    state[1] = 0
  }
}

/** What tells two findings apart: the kind of rule, and not the input. */
const kindOf = (error: unknown): string =>
  String((error as Error).message ?? error)
    .split('\n')[0]
    ?.slice(0, 160) ?? ''

test.each(names)('%s', async (name) => {
  const { start, isDocument } = TARGETS[name] as Entry
  const target = await start()
  const report: Report = { target: name, executions: 0, verdicts: {}, findings: [], written: [], growth: 0 }
  reports.push(report)
  const seeds = readCorpus(name).map(({ input }) => writeOut(input))
  const until = performance.now() + (1000 * seconds) / names.length
  let settled = 0
  for (let batch = 0; performance.now() < until && report.findings.length < MAX_FINDINGS; batch++) {
    const fresh: string[] = []
    const property = fc.asyncProperty(inputs([...seeds], isDocument), async ({ template, after }) => {
      const verdict = await attempt(target, after(expand(template)))
      report.executions++
      if (report.verdicts[verdict] === undefined) fresh.push(template)
      report.verdicts[verdict] = (report.verdicts[verdict] ?? 0) + 1
    })
    const result = await fc.check(property, { seed: seed * 1_000_003 + batch, numRuns: BATCH })
    seeds.push(...fresh)
    if (result.failed) await found(report, target, result)
    if (batch === 4) settled = heap()
  }
  if (settled > 0) report.growth = heap() - settled
  await target.close()
  expect(report.findings).toEqual([])
  expect(report.growth).toBeLessThan(MAX_GROWTH)
})

async function found(
  report: Report,
  target: Target,
  { counterexample, errorInstance }: fc.RunDetails<[{ template: string; after: (bytes: string) => string }]>
): Promise<void> {
  const kind = kindOf(errorInstance)
  if (report.findings.includes(kind)) return
  const [{ template, after }] = counterexample as [{ template: string; after: (bytes: string) => string }]
  const bytes = after(expand(template))
  // As it was before signing, where nothing was done after: that is read more easily.
  const input = bytes === expand(template) ? template : quote(bytes)
  const small = await smaller(input, async (one) => {
    try {
      await attempt(target, expand(one))
      return false
    } catch (error) {
      return kindOf(error) === kind
    }
  })
  report.findings.push(kind)
  const file = appendCase(keep ? CORPUS : FINDINGS, report.target, {
    title: `found with seed ${seed}: ${kind}`,
    verdict: UNKNOWN,
    input: small
  })
  if (!report.written.includes(file)) report.written.push(file)
}

/** Without every part that it breaks the rule without as well. */
async function smaller(text: string, stillFails: (text: string) => Promise<boolean>): Promise<string> {
  let best = text
  for (let size = Math.ceil(best.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < best.length; ) {
      const next = best.slice(0, from) + best.slice(from + size)
      if (await stillFails(next)) best = next
      else from += size
    }
  }
  return best
}

function heap(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
