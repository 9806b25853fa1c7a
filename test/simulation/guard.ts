/**
 * While a simulation runs, whatever asks the real machine for time, a timer or chance throws: a call past the port of
 * `src/base/world.ts` would make a run depend on more than its seed.
 */
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import timers from 'node:timers'
import promises from 'node:timers/promises'

const turn = globalThis.setImmediate

/** One real turn of the event loop: all promises that can settle have settled after it. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    turn(resolve)
  })
}

type Members = Record<string, unknown>

/** Calls past the port in this run. A call is counted too, because the package may catch what it throws. */
const touched: string[] = []

function forbid(name: string): () => never {
  return () => {
    touched.push(name)
    throw new Error(`${name} was called past src/base/world.ts`)
  }
}

const OUTSIDE: readonly (readonly [owner: object, members: readonly string[], label: string])[] = [
  [
    globalThis,
    ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate'],
    'globalThis'
  ],
  [Date, ['now'], 'Date'],
  [Math, ['random'], 'Math'],
  [performance, ['now'], 'performance'],
  [AbortSignal, ['timeout'], 'AbortSignal'],
  [timers, ['setTimeout', 'setInterval', 'setImmediate'], 'node:timers'],
  [promises, ['setTimeout', 'setInterval', 'setImmediate'], 'node:timers/promises'],
  [crypto, ['randomBytes', 'randomUUID', 'randomInt', 'randomFillSync'], 'node:crypto'],
  [globalThis.crypto, ['randomUUID', 'getRandomValues'], 'crypto']
]

class NoDate extends Date {
  constructor(...args: readonly unknown[]) {
    if (args.length === 0) forbid('new Date()')()
    super(...(args as [number]))
  }
}

/**
 * Forbids the real machine.
 *
 * @returns a function that allows it again, and returns the names of what was called meanwhile
 */
export function forbidReality(): () => readonly string[] {
  touched.length = 0
  const undo: (() => void)[] = []
  const replace = (owner: object, name: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(owner, name)
    Object.defineProperty(owner, name, { value, configurable: true, writable: true })
    undo.push(() => {
      if (before === undefined) delete (owner as Members)[name]
      else Object.defineProperty(owner, name, before)
    })
  }
  for (const [owner, names, label] of OUTSIDE)
    for (const name of names) replace(owner, name, forbid(`${label}.${name}`))
  replace(globalThis, 'Date', NoDate)
  // One core: signatures are checked on this thread, not in a pool whose order nobody controls.
  replace(os, 'availableParallelism', () => 1)
  syncBuiltinESMExports()
  return () => {
    for (const one of undo.reverse()) one()
    syncBuiltinESMExports()
    return [...touched]
  }
}
