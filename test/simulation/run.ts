/** One simulation, and many of them as a property for fast-check. */
import fc from 'fast-check'
import { setWorld } from '../../src/base/world.js'
import { commands, healIt, PARTS } from './commands.js'
import { Fleet, type Setup } from './fleet.js'
import { forbidReality } from './guard.js'
import { Judge, Violation, wrongCalls, wrongInCalm } from './judge.js'
import { SimulatedWorld } from './world.js'

/** Milliseconds after the last fault until all must be well: one backoff step. */
const CALM = 31_000

/** The same without trouble that has a backoff: a store is called again after a second, and a log read within eight. */
const SHORT_CALM = 8000

const setups: fc.Arbitrary<Setup & { seed: number }> = fc.record({
  processes: fc.oneof(
    { weight: 4, arbitrary: fc.constant(2) },
    { weight: 1, arbitrary: fc.integer({ min: 3, max: 5 }) }
  ),
  ahead: fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 5, maxLength: 5 }),
  logRoom: fc.constantFrom(64, 64, 64, 16),
  seed: fc.noShrink(fc.nat())
})

type Commands = Iterable<fc.AsyncCommand<Record<string, never>, Fleet>>

export interface Played {
  readonly digest: string
  readonly story: readonly string[]
  readonly steps: number
  readonly seconds: number
  readonly wrong: Error | undefined
}

/** Plays one run to its end, or to the first violation. */
export async function play({ seed, ...setup }: Setup & { seed: number }, all: Commands): Promise<Played> {
  // Not an argument of the property: fast-check's copy of a scheduler goes on where the last copy ended, so that a run
  // could not be repeated.
  const [scheduler] = fc.sample(fc.scheduler(), { seed, numRuns: 1 })
  const world = new SimulatedWorld(seed, scheduler as fc.Scheduler)
  const bringBack = setWorld(world.port)
  const fleet = new Fleet(world, setup, new Judge())
  let wrong: Error | undefined
  try {
    await fleet.start()
    await fc.asyncModelRun(() => ({ model: {}, real: fleet }), all)
    await calmDown(fleet)
  } catch (error) {
    wrong = error as Error
  } finally {
    bringBack()
  }
  return { digest: world.digest, story: fleet.story, steps: world.steps, seconds: world.time / 1000, wrong }
}

/** Ends all faults, and requires that the fleet recovers. */
async function calmDown(fleet: Fleet): Promise<void> {
  fleet.tell('All faults end.')
  const hadTrouble = fleet.hadTroubleWithin(CALM)
  for (const part of PARTS) healIt(fleet, part)
  fleet.jwts.publish()
  await fleet.world.pass(hadTrouble ? CALM : SHORT_CALM)
  await probe(fleet, false)
  await probe(fleet, true)
  const wrong = isAnyUnwell(fleet) ?? wrongCalls(fleet)
  if (wrong !== undefined) throw new Violation(wrong)
}

/** Sends good tokens of each kind to each process. */
async function probe(fleet: Fleet, isTold: boolean): Promise<void> {
  for (const kind of ['jwt', 'opaque', 'bound'] as const) {
    const token = fleet.issue(kind)
    for (const [place] of fleet.processes.entries()) await fleet.ask(place, token, false, isTold)
  }
  await fleet.world.pass(6500)
  fleet.requireGood()
}

function isAnyUnwell(fleet: Fleet): string | undefined {
  return fleet.processes.map((process) => wrongInCalm(fleet, process)).find((wrong) => wrong !== undefined)
}

export interface Campaign {
  readonly seed: number
  readonly runs: number
  /** Of a failure that is to be repeated. */
  readonly path?: string
  readonly replayPath?: string
}

export interface Report {
  readonly runs: number
  readonly steps: number
  /** Simulated seconds. */
  readonly seconds: number
  readonly digest: string
  /** The shortest failure that fast-check found. */
  readonly failure?: {
    readonly what: string
    readonly story: readonly string[]
    readonly path: string
    readonly replayPath: string
    /** Runs until it was found. */
    readonly after: number
  }
}

/** Plays many runs. Forbids the real machine meanwhile. */
export async function campaign({ seed, runs, path, replayPath }: Campaign): Promise<Report> {
  let [played, steps, seconds, digest] = [0, 0, 0, '']
  let last: Played | undefined
  const property = fc.asyncProperty(setups, commands(replayPath), async (setup, all) => {
    const allow = forbidReality()
    let result: Played
    let touched: readonly string[]
    try {
      result = await play(setup, all)
    } finally {
      touched = allow()
    }
    played++
    steps += result.steps
    seconds += result.seconds
    digest = result.digest
    const wrong =
      result.wrong ?? (touched.length > 0 ? new Violation(`called past the port: ${touched.join(', ')}`) : undefined)
    if (wrong === undefined) return
    last = result
    throw wrong
  })
  const details = await fc.check(property, {
    seed,
    numRuns: runs,
    ...(path !== undefined && { path, endOnFailure: true })
  })
  const report = { runs: played, steps, seconds, digest }
  if (!details.failed) return report
  const shown = details.counterexample === null ? '' : fc.stringify(details.counterexample[1])
  return {
    ...report,
    failure: {
      what: String((details.errorInstance as Error | undefined)?.stack ?? ''),
      story: last?.story ?? [],
      path: details.counterexamplePath ?? '',
      replayPath: /replayPath="([^"]*)"/.exec(shown)?.[1] ?? '',
      after: details.numRuns
    }
  }
}
