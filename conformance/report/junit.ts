/**
 * The report as JUnit XML, which CI systems show: a suite for each profile, a case for each check.
 *
 * Tests: `test/conformance/report.test.ts`.
 */

import type { Level } from '../check.js'
import { failuresOf, type Report, type Result } from './report.js'
import { sourceLine, toolLine } from './text.js'

/**
 * Writes a report as JUnit XML: a suite for each profile.
 *
 * @param failOn failures of this level or a stricter one are failures of the case; others are told as skipped
 */
export function junitReport(report: Report, failOn?: Level): string {
  const counted = new Set(failuresOf(report, failOn))
  const suites = report.profiles.map((profile) =>
    suiteOf(
      profile,
      report.results.filter((one) => one.profile === profile),
      counted,
      propertiesOf(report)
    )
  )
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="${xml(report.tool)}" tests="${report.results.length}" failures="${counted.size}" errors="${report.counts.errors}" time="${report.seconds}">
${suites.join('\n')}
</testsuites>
`
}

/** In each suite, where readers of JUnit show them. */
function propertiesOf(report: Report): string {
  const properties = { tool: toolLine(report), url: report.url, notice: report.notice }
  const lines = Object.entries(properties).map(([name, value]) => `<property name="${name}" value="${xml(value)}"/>`)
  return `<properties>\n${lines.join('\n')}\n</properties>`
}

function suiteOf(
  profile: string,
  results: readonly Result[],
  counted: ReadonlySet<Result>,
  properties: string
): string {
  const failures = results.filter((one) => counted.has(one)).length
  const errors = results.filter(({ verdict }) => verdict === 'error').length
  const skipped = results.filter((one) => isSkipped(one, counted)).length
  const cases = results.map((one) => caseOf(one, counted))
  return `<testsuite name="${profile}" tests="${results.length}" failures="${failures}" errors="${errors}" skipped="${skipped}">
${properties}
${cases.join('\n')}
</testsuite>`
}

function isSkipped(one: Result, counted: ReadonlySet<Result>): boolean {
  return one.verdict === 'not applicable' || (one.verdict === 'failed' && !counted.has(one))
}

function caseOf(one: Result, counted: ReadonlySet<Result>): string {
  const head = `<testcase classname="${one.profile}" name="${xml(`${one.id}: ${one.title}`)}"`
  if (one.verdict === 'passed')
    return one.measured === undefined
      ? `${head}/>`
      : `${head}><system-out>${xml(one.measured.join(', '))}</system-out></testcase>`
  if (one.verdict === 'error') return `${head}><error message="${xml(one.why ?? '')}"/></testcase>`
  if (isSkipped(one, counted))
    return `${head}><skipped message="${xml(one.why ?? detailOf(one).replaceAll('\n', ' '))}"/></testcase>`
  return `${head}><failure message="${xml(one.finding?.received ?? '')}" type="${one.level}">${xml(detailOf(one))}</failure></testcase>`
}

function detailOf(one: Result): string {
  const { finding, exchanges, source } = one
  return [
    `Expected: ${finding?.expected}`,
    `Received: ${finding?.received}`,
    `Change: ${finding?.change}`,
    `Source: ${sourceLine(one)}${source === undefined ? '' : ` ${source.url}`}`,
    ...exchanges.map(({ sent, status, problem }) => `${sent} -> ${status ?? problem}`)
  ].join('\n')
}

/** XML 1.0 has no control characters but three, not even escaped. */
function xml(text: string): string {
  return text
    .replace(/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]|\p{Bidi_Control}/gu, '\uFFFD')
    .replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`)
}
