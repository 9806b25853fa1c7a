/** What `stats()` says that remembered tokens hold, beside what they hold (see `budget/heap.mjs`): a bound in bytes is one of memory. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

interface Held {
  readonly held: number
  readonly counted: number
}

test('counts what a remembered token holds within a fifth, whatever its length and its claims', () => {
  const script = fileURLToPath(new URL('../budget/heap.mjs', import.meta.url))
  const output = execFileSync(process.execPath, ['--expose-gc', script], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' }
  })
  const kinds = Object.entries(JSON.parse(output) as Readonly<Record<string, Held>>)
  expect(kinds.length).toBeGreaterThan(10)
  const wrong = kinds.filter(([, { held, counted }]) => !(counted > 0.8 * held && counted < 1.2 * held))
  expect(wrong).toEqual([])
}, 180_000)
