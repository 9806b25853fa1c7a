/**
 * The report as JSON. docs/conformance-suite.md documents its members; `version` is raised when one changes its meaning.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
import type { Report } from './report.js'

/** Control characters are written as escapes, so that the text is harmless in a terminal. */
export function jsonReport(report: Report): string {
  const text = JSON.stringify(report, null, 2)
  return `${text.replace(/(?!\n)[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`
}
