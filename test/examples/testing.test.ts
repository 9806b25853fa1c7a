/** The tests that docs/testing.md shows, run as it says. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test('node --test runs the example, and all its tests pass', async () => {
  // What node --test tells its children would be believed by this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--test', '--test-reporter=tap', 'examples/testing/orders.test.mjs'],
    { cwd: ROOT, env }
  )
  expect(stdout).toMatch(/^# tests 7$/m)
  expect(stdout).toMatch(/^# pass 7$/m)
})
