/** Every case that the fuzzer starts from, and everything that it ever found: again on each run of the tests. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { appendCase, CORPUS, FINDINGS, readCorpus, UNKNOWN } from './corpus.js'
import type { Target } from './target.js'
import { TARGETS } from './targets.js'
import { expand, quote } from './template.js'

describe.each(Object.entries(TARGETS))('the corpus of %s', (name, { start }) => {
  const cases = readCorpus(name)
  let target: Target

  beforeAll(async () => {
    target = await start()
  })
  afterAll(() => target.close())

  test.each(cases.map((one) => [one.title, one] as const))('%s', async (_, { verdict, input }) => {
    const became = await target.run(expand(input))
    if (verdict !== UNKNOWN) expect(became).toBe(verdict)
  })

  test('has cases of either kind, each once', () => {
    expect(cases.some(({ verdict }) => /^(accepted|taken)/.test(verdict))).toBe(true)
    expect(cases.some(({ verdict }) => !/^(accepted|taken)/.test(verdict))).toBe(true)
    expect(new Set(cases.map(({ title }) => title)).size).toBe(cases.length)
    expect(new Set(cases.map(({ input }) => input)).size).toBe(cases.length)
  })
})

test('bytes that were quoted come back as they were', () => {
  const bytes = '<<h 00>> <<token>> \0\u00ff\r\n{"a":1}<<<'
  expect(expand(quote(bytes))).toBe(bytes)
})

test('findings go outside of the corpus, and the file they went to is told', () => {
  expect(relative(CORPUS, FINDINGS)).toMatch(/^\.\./)
  const folder = mkdtempSync(join(tmpdir(), 'findings-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = appendCase(folder, 'dpop', { title: 'found', verdict: UNKNOWN, input: 'x' })
  expect(resolve(file)).toBe(join(folder, 'dpop.txt'))
  expect(readFileSync(file, 'utf8')).toBe('### ? | found\nx\n')
})
