/**
 * A badge as SVG: how many checks passed, and whether a MUST failed. It names the tool, and claims no certification.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
import type { Report } from './report.js'
import { toolLine } from './text.js'

const LABEL = 'resource server checks'
/** Pixels of a character, about, in the font of the badge. */
const CHARACTER = 6.6

/** Draws a report as an SVG badge. */
export function badge(report: Report): string {
  const { counts, notice } = report
  const must = counts.failed.MUST
  const should = counts.failed.SHOULD
  const told = must > 0 ? `${must} MUST failed` : should > 0 ? `${should} SHOULD failed` : `${counts.passed} passed`
  const colour = must > 0 ? '#b42318' : should > 0 ? '#8a5a00' : '#1a7f37'
  const [left, right] = [LABEL, told].map((text) => Math.round(text.length * CHARACTER + 12)) as [number, number]
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="20" role="img" aria-label="${LABEL}: ${told}">
<title>${LABEL}: ${told}. ${notice} Made by ${toolLine(report)}.</title>
<rect width="${left + right}" height="20" rx="3" fill="#444d56"/>
<path d="M${left} 0h${right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-${right - 3}z" fill="${colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="${left / 2}" y="14">${LABEL}</text>
<text x="${left + right / 2}" y="14">${told}</text>
</g>
</svg>
`
}
