/** What `npm test` makes of a run: `scripts/test.mjs`, on small projects whose tests really run. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const SCRIPT = join(ROOT, 'scripts/test.mjs')
/** Within the project, so that vitest is found from there. */
const TEMPORARY = join(ROOT, 'test/.tmp')

interface Outcome {
  readonly code: number
  readonly lines: readonly string[]
  readonly last: string
}

function run(folder: string, ...args: readonly string[]): Promise<Outcome> {
  const { NODE_OPTIONS: _, ...environment } = process.env
  const env = Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('VITEST')))
  return new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, ...args], { cwd: folder, env }, (error, stdout, stderr) => {
      const lines = stdout.trimEnd().split('\n')
      resolve({ code: Number(error?.code ?? 0), lines: [...lines, ...stderr.split('\n')], last: lines.at(-1) ?? '' })
    })
  })
}

/** Half of the functions of `src` are run by `test/a.test.mjs`, the others by `test/<second>.test.mjs`. */
function project(tests: Readonly<Record<string, string>>): string {
  mkdirSync(TEMPORARY, { recursive: true })
  const folder = mkdtempSync(join(TEMPORARY, 'totals-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const code = 'export const one = () => 1\nexport const two = () => 2\n'
  const files = {
    'src/a.mjs': code,
    'adapters/a.mjs': code,
    'integrations/a.mjs': 'export const run = true\n',
    'test-kit/a.mjs': 'export const run = true\n',
    'vitest.config.mjs': `export default {
      test: { include: ['test/**/*.test.mjs'], maxWorkers: 1, coverage: { provider: 'v8', include: ['{src,adapters,integrations,test-kit}/*.mjs'] } }
    }`,
    ...Object.fromEntries(
      Object.entries(tests).map(([name, body]) => [
        `test/${name}.test.mjs`,
        `import { expect, test } from 'vitest'
         import * as src from '${'../'.repeat(name.split('/').length)}src/a.mjs'
         import * as adapters from '${'../'.repeat(name.split('/').length)}adapters/a.mjs'
         import '${'../'.repeat(name.split('/').length)}integrations/a.mjs'
         import '${'../'.repeat(name.split('/').length)}test-kit/a.mjs'
         ${body}`
      ])
    )
  }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

const FIRST = "test('one', () => expect([src.one(), adapters.one()]).toEqual([1, 1]))"
const second = (how = 'test'): string => `${how}('two', () => expect([src.two(), adapters.two()]).toEqual([2, 2]))`

describe('npm test', { timeout: 60_000 }, () => {
  test('exits 0 where all ran and the coverage suffices, and ends with the counts', async () => {
    const folder = project({ a: FIRST, b: second() })
    const { code, last } = await run(folder, '--no-skips')
    expect([code, last]).toEqual([0, '2 passed, 0 failed'])
    expect(await run(folder, '--totals')).toMatchObject({ code: 0, last: '2 passed, 0 failed' })
  })

  test('exits 1 where nothing was skipped and the coverage of a folder is too low, and names both', async () => {
    const { code, lines, last } = await run(project({ a: FIRST }))
    expect([code, last]).toEqual([1, '1 passed, 0 failed'])
    expect(lines).toContain('Coverage of src: 50.00 % of functions, below 95 %')
    expect(lines).toContain('Coverage of adapters: 50.00 % of functions, below 95 %')
  })

  test('exits 0 with the same coverage where tests were skipped, and says what is missing in its last line', async () => {
    const folder = project({
      a: FIRST,
      'redis/b': second('test.skip'),
      'examples/playground': second('test.skip'),
      'examples/hosts': second('test.skip')
    })
    const { code, last } = await run(folder)
    expect([code, last]).toEqual([
      0,
      '1 passed, 0 failed, 3 skipped (to run what needs more than npm ci: apt-get install redis-server chromium; npm install --prefix .ci/hosts; coverage thresholds were not applied)'
    ])
    expect(await run(folder, '--totals')).toMatchObject({ code: 1, last })
  })

  test('exits 1 for a skipped test with --no-skips, and names a file that was skipped for no known reason', async () => {
    const { code, last } = await run(project({ a: FIRST, b: `${second('test.todo')}\n${second()}` }), '--no-skips')
    expect([code, last]).toEqual([
      1,
      '2 passed, 0 failed, 1 skipped (skipped by the tests themselves or by a filter: test/b.test.mjs; coverage thresholds were not applied)'
    ])
  })

  test.each([
    [
      'a test fails and another is skipped',
      { a: FIRST, 'redis/b': `${second('test.skip')}\ntest('fails', () => expect(1).toBe(2))` },
      /^1 passed, 1 failed, 1 skipped/
    ],
    ['an error is left behind', { a: FIRST, b: `${second()}\nvoid Promise.reject(new Error('stray'))` }, /^2 passed/],
    ['no test is there', {}, /./]
  ])('exits 1 where %s', async (_what, tests, last) => {
    const outcome = await run(project(tests))
    expect(outcome.code).toBe(1)
    expect(outcome.last).toMatch(last)
  })

  test('--totals exits 1 where the last run left no report', async () => {
    expect(await run(project({ a: FIRST }), '--totals')).toMatchObject({ code: 1 })
  })
})
