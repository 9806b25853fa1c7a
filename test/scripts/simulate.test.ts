/**
 * The simulation, as `npm run simulate` plays it: two thousand runs in which nothing may go wrong, the same twice from one
 * seed, each regression, and a deliberate bug that must be found.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BUGS } from '../simulation/bugs.js'
import { apply, changed } from '../simulation/patches.js'
import { REGRESSIONS } from '../simulation/regressions.js'

const ROOT = join(import.meta.dirname, '../..')

interface Outcome {
  readonly code: number
  readonly output: string
}

function simulate(args: readonly string[]): Promise<Outcome> {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST') && name !== 'NODE_OPTIONS')
  const env = Object.fromEntries(own)
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(ROOT, 'scripts/simulate.mjs'), ...args],
      { cwd: ROOT, env },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), output: stdout + stderr })
    )
  })
}

describe('npm run simulate', { timeout: 900_000 }, () => {
  test('finds nothing wrong in two thousand runs', async () => {
    const { code, output } = await simulate(['--seed', '1', '--runs', '2000'])
    expect(output).toMatch(/^2000 runs, \d+ events, \d+ simulated hours in \d+ s, trace \w{8} \w{8}\n$/)
    expect(code).toBe(0)
  })

  test('plays the same from the same seed, and something else from another one', async () => {
    const traceOf = async (seed: string): Promise<string | undefined> => {
      const { output } = await simulate(['--seed', seed, '--runs', '15', '--jobs', '1'])
      return /^15 runs, (\d+ events, .*) in \d+ s, (trace \w{8})\n$/.exec(output)?.slice(1).join()
    }
    const first = await traceOf('7')
    expect(first).toBeDefined()
    expect(await traceOf('7')).toBe(first)
    expect(await traceOf('8')).not.toBe(first)
  })

  test.each(REGRESSIONS.map((one) => [one.story, one] as const))(
    'does not repeat: %s',
    async (_, { seed, path = '', replayPath = '' }) => {
      const { code, output } = await simulate(['--seed', `${seed}`, '--path', path, '--replay', replayPath])
      expect(output).not.toContain('WRONG')
      expect(code).toBe(0)
    }
  )

  test('finds a deliberate bug, and tells how in a short story', async () => {
    const { code, output } = await simulate(['--seed', '1', '--runs', '400', '--bug', 'no-wait-at-start'])
    expect(code).toBe(1)
    const story = output.split('\n').filter((line) => /^ +\d+\.\d{3} s {2}/.test(line))
    expect(story.length).toBeLessThanOrEqual(24)
    expect(story.some((line) => line.endsWith('crashes and restarts.'))).toBe(true)
    expect(story.some((line) => /WRONG: process \d\.\d+ answers 200 granted to .* it was revoked at/.test(line))).toBe(
      true
    )
    expect(output).toContain('To repeat it: npm run simulate -- --seed')
  })

  test('refuses a number that is none, with what was expected', async () => {
    const { code, output } = await simulate(['--runs', 'many'])
    expect(code).toBe(1)
    expect(output).toContain('--runs must be a whole number, not many')
  })
})

describe('deliberate bugs', () => {
  test.each(BUGS.map((bug) => [bug.name, bug] as const))(
    '%s changes a text that the source has',
    async (_, { patches }) => {
      const { readFileSync } = await import('node:fs')
      for (const patch of patches) {
        const code = readFileSync(join(ROOT, patch.file), 'utf8')
        expect(apply(code, patch)).not.toBe(code)
      }
    }
  )

  test('a text that the source does not have is an error, so that no bug is silently left out', () => {
    expect(() => apply('const a = 1', { file: 'src/a.ts', from: 'const b', to: '' })).toThrow(
      'src/a.ts does not have the text "const b"'
    )
  })

  test('an unknown name is an error that lists the names', () => {
    expect(() => changed('no-such-bug')).toThrow(/no deliberate bug is named no-such-bug: choose from no-recheck, /)
  })
})
