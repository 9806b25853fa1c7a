/** The forms of the report: complete, harmless, and the same facts in each. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  badge,
  htmlReport,
  jsonReport,
  junitReport,
  progressLine,
  terminalReport
} from '../../conformance/report/index.js'
import { countsOf, exitCodeOf, NOTICE, type Report, type Result } from '../../conformance/report/report.js'
import { runConformance } from '../../conformance/run.js'
import packageFile from '../../package.json' with { type: 'json' }
import { startPlain } from './apis.js'

const one = (more: Partial<Result>): Result => ({
  id: 'rfc6750-x',
  title: 'A check.',
  profile: 'rfc6750',
  level: 'MUST',
  source: {
    name: 'RFC 6750',
    section: '§3',
    url: 'https://www.rfc-editor.org/rfc/rfc6750.html#section-3',
    quote: 'The text.'
  },
  verdict: 'passed',
  exchanges: [],
  ...more
})

const failure = (more: Partial<Result> = {}): Result =>
  one({
    id: 'rfc6750-bad',
    verdict: 'failed',
    finding: { expected: 'Status 401.', received: 'Status 500.', change: 'Refuse.' },
    exchanges: [{ sent: "curl -i 'http://api/'", status: 500, fields: ['content-type: text/html'], body: 'Error' }],
    ...more
  })

function reportOf(results: readonly Result[]): Report {
  return {
    version: 1,
    tool: 'tool',
    toolVersion: '1.2.3-test',
    notice: NOTICE,
    url: 'http://127.0.0.1:1/orders',
    started: '2026-01-02T03:04:05.000Z',
    seconds: 1.5,
    mode: 'outside',
    features: [],
    profiles: ['rfc6750'],
    requests: 9,
    counts: countsOf(results),
    results
  }
}

const forms = {
  terminal: (report: Report) => terminalReport(report, { columns: 80, hasColour: false }),
  json: jsonReport,
  junit: (report: Report) => junitReport(report),
  html: htmlReport,
  badge
}

describe.each(Object.entries(forms))('%s', (name, write) => {
  test('says that it is no certification', () => {
    expect(write(reportOf([one({})]))).toContain('This is no certification by OpenID or MCP.')
  })

  test('names the version of the tool', () => {
    expect(write(reportOf([one({})]))).toContain('1.2.3-test')
  })

  test('tells what was measured', () => {
    const report = reportOf([one({ measured: ['0.3 seconds from the revocation to the refusal'] })])
    const text = name === 'terminal' ? terminalReport(report, { hasColour: false }, true) : write(report)
    expect(text.includes('0.3 seconds from the revocation')).toBe(name !== 'badge')
  })

  test('obeys nothing that an answer of the API holds', () => {
    const evil = '\u001b[31m</script><b>&"\'\u202e]]>\n::error::x ##[error]y\u0000'
    const text = write(
      reportOf([
        failure({
          finding: { expected: evil, received: evil, change: evil },
          exchanges: [{ sent: evil, status: 500, fields: [evil], body: evil }]
        })
      ])
    )
    expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
    if (name === 'html' || name === 'junit' || name === 'badge') expect(text).not.toMatch(/<b>|<\/script>/)
    if (name === 'terminal') expect(text).not.toMatch(/^\s*::|##\[/m)
  })
})

describe('terminal', () => {
  test.each([60, 80])('wraps all but commands to %i columns, with --verbose too', (columns) => {
    const bad = (['MUST', 'SHOULD', 'MAY', 'hardening'] as const).flatMap((level) =>
      Array.from({ length: 12 }, () => failure({ level }))
    )
    const why = 'needs the authorization server of the suite (--test-deployment), and an API that accepts its JWTs'
    const report = reportOf([...bad, one({ verdict: 'not applicable', why }), one({ verdict: 'error', why })])
    for (const verbose of [false, true]) {
      const lines = terminalReport(report, { columns, hasColour: false }, verbose).split('\n')
      const wide = lines.filter((line) => line.length > columns && !/curl|https:/.test(line))
      expect(wide).toEqual([])
    }
  })

  test('shows what failed and not what passed, in 80 columns but for commands', () => {
    const long = failure({
      finding: { expected: 'word '.repeat(60), received: 'word '.repeat(60), change: 'word '.repeat(60) }
    })
    const text = forms.terminal(
      reportOf([one({ id: 'rfc6750-good' }), long, one({ verdict: 'not applicable', why: 'no such thing' })])
    )
    expect(text).toContain('rfc6750-bad')
    expect(text).not.toContain('rfc6750-good')
    expect(text).toContain('1 passed, 1 failed (MUST), 1 not applicable')
    for (const line of text.split('\n').filter((each) => !each.includes('curl')))
      expect(line.length).toBeLessThanOrEqual(80)
  })

  test('shows everything with verbose: passed checks, reasons, the text, each request', () => {
    const text = terminalReport(
      reportOf([
        one({ id: 'rfc6750-good' }),
        failure({
          exchanges: [
            { sent: 'curl 1', status: 1 },
            { sent: 'curl 2', problem: 'reset' }
          ]
        }),
        one({ verdict: 'not applicable', why: 'no such thing' })
      ]),
      { columns: 80, hasColour: false },
      true
    )
    for (const part of [
      '✓ rfc6750-good',
      '– rfc6750-x: no such thing',
      'curl 1',
      'curl 2',
      '→ reset',
      'The text.',
      'rfc6750.html#section-3'
    ])
      expect(text).toContain(part)
  })

  test('has colours only where they are wanted', () => {
    expect(terminalReport(reportOf([failure()]), { hasColour: true })).toContain('\u001b[31m✗')
    expect(forms.terminal(reportOf([failure()]))).not.toContain('\u001b')
  })

  test('shows progress in one line', () => {
    expect(progressLine(8, 140, 'rfc6750-query-token')).toBe('[  9/140] rfc6750-query-token')
    expect(progressLine(8, 140, 'x'.repeat(200), 80)).toHaveLength(79)
  })
})

describe('html', () => {
  const page = htmlReport(
    reportOf([
      one({ id: 'rfc6750-good' }),
      failure({ exchanges: ['curl 1', 'curl 2', 'decisive'].map((sent) => ({ sent, status: 401 })) }),
      one({ id: 'dpop-a', verdict: 'not applicable', why: 'no DPoP' }),
      one({ id: 'dpop-b', verdict: 'not applicable', why: 'no DPoP' })
    ])
  )

  test('links each failure from the table to its explanation', () => {
    expect(page).toContain('<article class="MUST" id="rfc6750-bad">')
    expect(page).toContain('<a href="#rfc6750-bad">✗ failed</a>')
  })

  test('lists what was not applicable by its reason, apart from what ran', () => {
    const [ran, rest] = page.split('<h2>Not applicable</h2>') as [string, string]
    expect(ran).not.toContain('dpop-a')
    expect(rest).toContain('<h3>2 × no DPoP</h3>')
    expect(rest).toMatch(/dpop-a.*dpop-b/)
  })

  test('shows the request that decided, and folds those before it away', () => {
    const [shown, folded] = page.split('<details>') as [string, string]
    expect(shown).toContain('decisive')
    expect(shown).not.toContain('curl 1')
    expect(folded).toContain('<summary>The 2 requests before</summary>')
    expect(folded).toMatch(/curl 1[\s\S]*curl 2/)
  })
})

describe('junit', () => {
  test('counts as failures what the level counts, and others as skipped', () => {
    const report = reportOf([
      one({}),
      failure(),
      failure({ id: 'h', level: 'hardening' }),
      one({ id: 'e', verdict: 'error', why: 'spent' })
    ])
    const text = junitReport(report)
    expect(text).toContain('tests="4" failures="1" errors="1" skipped="1"')
    expect(text.match(/<failure /g)).toHaveLength(1)
    expect(junitReport(report, 'hardening').match(/<failure /g)).toHaveLength(2)
  })
})

describe('exit code', () => {
  test.each([
    ['nothing failed', [one({})], undefined, 0],
    ['a MUST failed', [failure()], undefined, 1],
    ['a SHOULD failed', [failure({ level: 'SHOULD' })], undefined, 1],
    ['a SHOULD failed, and only MUST counts', [failure({ level: 'SHOULD' })], 'MUST', 0],
    ['advice', [failure({ level: 'hardening' })], undefined, 0],
    ['advice, which counts', [failure({ level: 'hardening' })], 'hardening', 1],
    ['a check was not run', [one({ verdict: 'error' })], undefined, 2],
    ['a check was not run, and a MUST failed', [one({ verdict: 'error' }), failure()], undefined, 1]
  ] as const)('%s', (_what, results, failOn, code) => {
    expect(exitCodeOf(reportOf(results), failOn)).toBe(code)
  })
})

describe('json', () => {
  test('has no member that docs/conformance-suite.md does not name, at any depth', async () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/conformance-suite.md'), 'utf8')
    const table = page.slice(page.indexOf('The JSON object has'), page.indexOf('### Our own report'))
    const report = await runConformance(await startPlain(({ answer }) => void answer.fields.push(['Server', 'x/1.0'])))
    const members = new Set<string>()
    const collect = (value: unknown): void => {
      if (Array.isArray(value)) value.forEach(collect)
      else if (typeof value === 'object' && value !== null)
        for (const [name, member] of Object.entries(value)) {
          members.add(name)
          collect(member)
        }
    }
    collect(JSON.parse(jsonReport(report)))
    expect(members.size).toBeGreaterThan(25)
    expect([...members].filter((name) => !table.includes(`\`${name}\``) && !table.includes(`\`${name}[]\``))).toEqual(
      []
    )
  })

  test('is the report of a run, with no token in it', async () => {
    const report = await runConformance(
      await startPlain(({ answer }) => void answer.fields.push(['X-Powered-By', 'PHP/5.1']))
    )
    const read = JSON.parse(jsonReport(report)) as Report
    expect(read).toEqual(report)
    expect(read.version).toBe(1)
    expect(read.toolVersion).toBe(packageFile.version)
    expect(read.mode).toBe('outside')
    expect(read.results.find(({ id }) => id === 'hardening-no-version')).toMatchObject({
      verdict: 'failed',
      finding: { received: 'x-powered-by: PHP/5.1.' }
    })
    expect(jsonReport(report)).not.toMatch(/conformance-suite-token-that-nobody|A{60}/)
  })
})
