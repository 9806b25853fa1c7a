/**
 * What requests cost, counted and not timed (see `budget/count.mjs` and `budget/calls.mjs`): a slow path that creeps in shows here, on any machine.
 * The numbers are exact. Who makes one smaller writes the smaller one down; who makes one larger says why in its place.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'

interface Counts {
  /** Signature checks on the calling thread, and on libuv's pool. */
  readonly verify: number
  readonly pooled: number
  /** Digests, MACs and imported keys. */
  readonly hash: number
  /** Calls of `JSON.parse`. */
  readonly parse: number
  readonly promises: number
  /** To the authorization server. */
  readonly requests: number
  readonly isAsync: boolean
  readonly statuses: readonly number[]
}

const NOTHING: Counts = {
  verify: 0,
  pooled: 0,
  hash: 0,
  parse: 0,
  promises: 0,
  requests: 0,
  isAsync: false,
  statuses: [200]
}

let counts: Readonly<Record<string, Counts>>
let bytes: number
let bytesOfFirstSight: number

interface Calls {
  readonly functions: number
  /** Created by this package's code, not by Node.js or `JSON.parse`. */
  readonly objects: number
}
let calls: Readonly<Record<string, Calls>>

async function run(script: string, ...flags: readonly string[]) {
  const file = fileURLToPath(new URL(`budget/${script}`, import.meta.url))
  const env = { ...process.env, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1', NODE_V8_COVERAGE: undefined }
  return JSON.parse((await promisify(execFile)(process.execPath, [...flags, file], { env })).stdout)
}

beforeAll(async () => {
  const [first, counted] = await Promise.all([run('calls.mjs'), run('count.mjs', '--expose-gc')])
  calls = first
  const { 'bytes of a warm request': memory, 'bytes of a first sight': more, ...others } = counted
  counts = others
  bytes = memory.bytes
  bytesOfFirstSight = more.bytes
}, 180_000)

describe('a good token', () => {
  test('warm: costs nothing that can be counted, and creates no promise', () => {
    expect(counts['warm']).toEqual(NOTHING)
  })

  test('warm: leaves little to collect: the token cut out of its field, the credentials, the time', () => {
    expect(bytes).toBeLessThan(250)
  })

  test('first sight: costs one signature check and one parsed payload, synchronously', () => {
    expect(counts['first sight']).toEqual({ ...NOTHING, verify: 1, parse: 1 })
  })

  test('first sight: leaves its claims, the text they were read from, and little else', () => {
    expect(bytesOfFirstSight).toBeLessThan(3000)
  })

  test.each([
    ['warm', 37, 1],
    ['first sight', 192, 10],
    ['DPoP, warm', 121, 7]
  ] as const)(
    '%s: calls at most %i functions of this package, and creates at most %i objects',
    (what, functions, objects) => {
      expect(calls[what]?.functions).toBeGreaterThan(0)
      expect(calls[what]?.functions).toBeLessThanOrEqual(functions)
      expect(calls[what]?.objects).toBeGreaterThan(0)
      expect(calls[what]?.objects).toBeLessThanOrEqual(objects)
    }
  )

  test('in a burst: is checked in a batch on this thread while there is time, with five promises for each waiting check', () => {
    expect(counts['a burst of 30']).toEqual({ ...NOTHING, verify: 30, parse: 30, promises: 5 * 28, isAsync: true })
  })

  test('with a DPoP proof: costs only the check of the proof', () => {
    expect(counts['DPoP, warm']).toEqual({ ...NOTHING, verify: 1, parse: 1 })
  })
})

describe('a bad token costs no signature check', () => {
  // Six more than with a RegExp for the alphabet, which cost more than they do: its signature is decoded too.
  // 8 of the objects and 21 of the functions write two challenges and the body.
  test('expired, with its challenge: calls at most 119 functions of this package, and creates at most 18 objects', () => {
    expect(calls['refused: expired']?.functions).toBeLessThanOrEqual(119)
    expect(calls['refused: expired']?.objects).toBeLessThanOrEqual(18)
  })

  test.each([
    ['garbage', 0],
    ['malformed', 0],
    ['expired', 1],
    ['audience', 1],
    ['issuer', 1],
    ['algorithm', 2]
  ] as const)('%s: is refused without a signature check', (what, parse) => {
    expect(counts[`refused: ${what}`]).toEqual({ ...NOTHING, parse, statuses: [401] })
  })

  test('costs one signature check if only the signature is wrong', () => {
    expect(counts['refused: signature']).toEqual({ ...NOTHING, verify: 1, parse: 1, statuses: [401] })
  })
})

describe('the authorization server', () => {
  test('is asked for its keys once for 200 made-up kids at a time', () => {
    expect(counts['200 unknown keys']).toMatchObject({ verify: 0, pooled: 0, requests: 1, statuses: [401] })
  })

  test('is asked about an opaque token once for 1,000 callers', () => {
    expect(counts['1000 callers with one opaque token']).toMatchObject({ requests: 1, verify: 0, statuses: [200] })
  })

  test('is not asked again about a cached opaque token, which costs no promise', () => {
    expect(counts['an opaque token, warm']).toEqual(NOTHING)
  })
})
