/** The report on several APIs: nothing of a run that changes, every verdict, and harmless text. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Report, Result } from '../../conformance/report/report.js'
import { countsOf, NOTICE } from '../../conformance/report/report.js'

interface Summary {
  readonly notice: string
  readonly checks: readonly { readonly id: string; readonly verdicts: Record<string, string> }[]
  readonly failed: readonly { readonly api: string; readonly why: string }[]
}

/** The script is JavaScript with types in comments. */
const { pageOf, summaryOf, tableOf } = (await import(
  join(import.meta.dirname, '../../scripts/conformance-page.mjs')
)) as {
  summaryOf: (reports: Record<string, Report>) => Summary
  pageOf: (summary: Summary) => string
  tableOf: (summary: Summary) => string
}

function reportOf(port: number, verdict: Result['verdict']): Report {
  const one: Result = {
    id: 'rfc6750-x',
    title: 'A <b>check</b>.',
    profile: 'rfc6750',
    level: 'MUST',
    verdict,
    exchanges: [{ sent: `curl http://127.0.0.1:${port}/` }],
    ...(verdict === 'failed' && {
      finding: { expected: 'Status 401.', received: `http://127.0.0.1:${port}/ & 200`, change: 'Refuse.' }
    })
  }
  return {
    version: 1,
    tool: 'tool',
    toolVersion: '1.2.3-test',
    notice: NOTICE,
    url: `http://127.0.0.1:${port}/orders`,
    started: `2026-01-02T03:04:${port % 60}.000Z`,
    seconds: port,
    mode: 'outside',
    features: [],
    profiles: ['rfc6750'],
    requests: port,
    counts: countsOf([one]),
    results: [one]
  }
}

const at = (port: number): Summary => summaryOf({ koa: reportOf(port, 'passed'), node: reportOf(port + 1, 'failed') })

test('is the same after another run, at other times and ports', () => {
  expect(at(4000)).toEqual(at(5000))
  expect(pageOf(at(4000))).toBe(pageOf(at(5000)))
})

test('keeps every verdict, and what failed with its API', () => {
  const summary = at(4000)
  expect(summary.checks).toMatchObject([{ id: 'rfc6750-x', verdicts: { koa: 'passed', node: 'failed' } }])
  expect(summary.failed).toMatchObject([{ api: 'node', why: 'http://127.0.0.1/ & 200' }])
  expect(tableOf(summary)).toContain('| `node` | outside | 0 | 1 | 0 | 0 | 0 | 0 |')
})

test('the page says that it is no certification, names the version, and shows every text as text', () => {
  const page = pageOf(at(4000))
  expect(page).toContain(NOTICE)
  expect(page).toContain('1.2.3-test')
  expect(page).toContain('A &#60;b&#62;check&#60;/b&#62;.')
  expect(page).not.toMatch(/<b>check|<script/)
})
