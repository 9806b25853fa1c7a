/** The evidence of a version: each part says where it is from, and never claims to be newer than it is. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const SCRIPT = join(import.meta.dirname, '../../scripts/evidence.mjs')
/** The script is JavaScript with types in comments. */
const { marked, tableIn } = (await import(SCRIPT)) as {
  marked: (text: string, name: string) => { readonly text: string; readonly lines: readonly [number, number] }
  tableIn: (text: string) => Record<string, string>[]
}

interface Part {
  readonly how: string
  readonly source: 'run' | 'left' | 'recorded' | 'missing'
  readonly when: string | null
  readonly data: readonly Record<string, string>[]
}

test('writes the rules and the recorded measurements, each with its origin and date', () => {
  const folder = mkdtempSync(join(tmpdir(), 'evidence-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const out = join(folder, 'evidence.json')
  execFileSync(process.execPath, [SCRIPT, '--out', out, '--only', 'rules,simulation,mutation'])
  const { version, notice, commit, node, parts } = JSON.parse(readFileSync(out, 'utf8')) as {
    version: number
    notice: string
    commit: string
    node: string
    parts: Record<string, Part>
  }
  expect({ version, node }).toEqual({ version: 1, node: process.version })
  expect(notice).toContain('This is no certification by OpenID or MCP.')
  expect(commit).toMatch(/^[0-9a-f]{40}$/)
  expect(Object.keys(parts)).toEqual(['rules', 'simulation', 'mutation'])
  const { rules, simulation, mutation } = parts as Record<'rules' | 'simulation' | 'mutation', Part>
  expect(rules.source).toBe('run')
  expect(rules.data.length).toBeGreaterThan(300)
  for (const { id, tests, reason } of rules.data) expect(tests ?? reason, id).toBeDefined()
  expect(simulation).toMatchObject({ source: 'recorded', how: expect.stringContaining('docs/reliability.md') })
  expect(simulation.data.every((row) => /^\d+$/.test(row['Seed'] ?? ''))).toBe(true)
  // A part is as old as its oldest row.
  const dates = mutation.data.map((row) => row['Measured'] as string)
  expect(dates.every((date) => date >= (mutation.when as string))).toBe(true)
  expect(dates).toContain(mutation.when)
})

test('says how to name a part that does not exist', () => {
  expect(() => execFileSync(process.execPath, [SCRIPT, '--only', 'luck'], { stdio: 'pipe' })).toThrow(
    /--only luck: use package, sbom/
  )
})

test('refuses a budget for the fuzzer that is not a number', () => {
  expect(() =>
    execFileSync(process.execPath, [SCRIPT, '--run', 'fuzz', '--fuzz-seconds', 'all'], { stdio: 'pipe' })
  ).toThrow(/--fuzz-seconds must be a number above 0/)
})

test('reads the first table of a page, with pipes in its cells', () => {
  const page = 'Text | text\n\n| A | B |\n|---|--:|\n| 1 | x \\| y |\n| 2 | z |\n\n| C |\n|---|\n| 3 |\n'
  expect(tableIn(page)).toEqual([
    { A: '1', B: 'x \\| y' },
    { A: '2', B: 'z' }
  ])
  expect(tableIn('no table')).toEqual([])
})

test('finds the text between two markers, and its lines', () => {
  expect(marked('a\n<!-- x: begin -->\nb\n<!-- x: end -->\n', 'x')).toMatchObject({
    text: expect.stringContaining('b'),
    lines: [2, 4]
  })
  expect(() => marked('a', 'x')).toThrow('no markers for x')
})
