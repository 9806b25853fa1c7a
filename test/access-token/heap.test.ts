/** What `stats()` says that remembered tokens hold, beside what they hold (see `budget/heap.mjs`): a bound in bytes is one of memory. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

interface Held {
  readonly held: number
  readonly counted: number
}

test('estimates the memory of a cached token to within a fifth, for any length and claims', () => {
  const script = fileURLToPath(new URL('../budget/heap.mjs', import.meta.url))
  const measure = (): readonly (readonly [string, Held])[] => {
    const env = { ...process.env, NODE_OPTIONS: '' }
    const output = execFileSync(process.execPath, ['--expose-gc', script], { encoding: 'utf8', env })
    const kinds = Object.entries(JSON.parse(output) as Readonly<Record<string, Held>>)
    expect(kinds.length).toBeGreaterThan(10)
    return kinds.filter(([, { held, counted }]) => !(counted > 0.8 * held && counted < 1.2 * held))
  }
  const wrong = measure()
  // The heap holds other things too, and what it holds of them varies: a wrong count is wrong each time.
  const again = wrong.length === 0 ? [] : measure().map(([kind]) => kind)
  expect(wrong.filter(([kind]) => again.includes(kind))).toEqual([])
}, 180_000)
