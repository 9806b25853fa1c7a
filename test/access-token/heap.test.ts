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
  const measure = (...kinds: readonly string[]): readonly (readonly [string, Held])[] => {
    const env = { ...process.env, NODE_OPTIONS: '' }
    const output = execFileSync(process.execPath, ['--expose-gc', script, ...kinds], { encoding: 'utf8', env })
    return Object.entries(JSON.parse(output) as Readonly<Record<string, Held>>)
  }
  const isWrong = ([, { held, counted }]: readonly [string, Held]): boolean =>
    !(counted > 0.8 * held && counted < 1.2 * held)

  const all = measure()
  expect(all.length).toBeGreaterThan(10)
  let wrong = all.filter(isWrong)
  // The heap holds other things too, and what it holds of them varies: a wrong count is wrong each time.
  for (let again = 0; again < 3 && wrong.length > 0; again++)
    wrong = measure(...wrong.map(([kind]) => kind)).filter(isWrong)
  expect(wrong).toEqual([])
}, 180_000)
