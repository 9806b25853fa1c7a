/** The tests that docs/testing.md shows, run as it says. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test.each([
  ['orders.test.mjs', 7],
  ['conformance.test.mjs', 1]
])(
  'node --test runs %s, and all its %i tests pass',
  async (file, count) => {
    // The child must not take over the environment that `node --test` sets for its own children.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--test', '--test-reporter=tap', `examples/testing/${file}`],
      { cwd: ROOT, env }
    )
    expect(stdout).toMatch(new RegExp(`^# tests ${count}$`, 'm'))
    expect(stdout).toMatch(new RegExp(`^# pass ${count}$`, 'm'))
  },
  120_000
)
