/**
 * The report for a terminal of 80 columns: progress while it runs, then what failed; everything with `verbose`.
 *
 * Tests: `test/conformance/report.test.ts`.
 */
import { styleText } from 'node:util'
import type { Report, Result } from './report.js'
import { countsLine, modeLine, sourceLine, toolLine, troubles } from './text.js'

export interface TerminalStyle {
  /** Lines are wrapped to it. Default 80. */
  readonly columns?: number | undefined
  readonly hasColour: boolean
}

type Colour = 'green' | 'red' | 'yellow' | 'dim' | 'bold'

const MARKS: Readonly<Record<Result['verdict'], readonly [mark: string, colour: Colour]>> = {
  passed: ['✓', 'green'],
  failed: ['✗', 'red'],
  'not applicable': ['–', 'dim'],
  error: ['!', 'yellow']
}

export function terminalReport(report: Report, style: TerminalStyle, verbose = false): string {
  const { paint, wrap } = toolsOf(style)
  const bad = troubles(report)
  const lines = [
    paint('bold', report.url),
    ...wrap(`Tested ${modeLine(report)}.`, ''),
    '',
    ...(verbose ? report.results.flatMap((one) => linesOf(one, style)) : []),
    ...(verbose ? [''] : []),
    ...bad.flatMap((one) => [...failureOf(one, style, verbose), '']),
    ...wrap(countsLine(report.counts), '', 2).map((line) =>
      paint(bad.some(({ level, verdict }) => verdict === 'failed' && level === 'MUST') ? 'red' : 'bold', line)
    ),
    ...(verbose || report.counts.notApplicable === 0 ? [] : [...whyNotLines(report, wrap)]),
    paint('dim', toolLine(report)),
    paint('dim', report.notice)
  ]
  return `${lines.join('\n')}\n`
}

/** One line that is overwritten: `[ 12/140] rfc6750-query-token`. */
export function progressLine(index: number, total: number, id: string, columns = 80): string {
  return `[${String(index + 1).padStart(String(total).length)}/${total}] ${id}`.slice(0, columns - 1)
}

function linesOf(one: Result, style: TerminalStyle): string[] {
  const { paint, wrap } = toolsOf(style)
  const [mark, colour] = MARKS[one.verdict]
  const remark = one.verdict === 'not applicable' ? one.why : one.measured?.join(', ')
  const [first = '', ...more] = wrap(`${one.id}${remark === undefined ? '' : `: ${remark}`}`, '  ', 2)
  return [`${paint(colour, mark)}${first.slice(1)}`, ...more.map((line) => paint('dim', line))]
}

function failureOf(one: Result, style: TerminalStyle, verbose: boolean): string[] {
  const { paint, wrap } = toolsOf(style)
  const isAdvice = one.level === 'hardening' && one.verdict === 'failed'
  const [mark, colour] = isAdvice ? (['·', 'yellow'] as const) : MARKS[one.verdict]
  const { finding, exchanges, source, why } = one
  const shown = verbose ? exchanges : exchanges.slice(-1)
  return [
    ...wrap(one.title, '  ').map((line, index) => (index === 0 ? `${paint(colour, mark)}${line.slice(1)}` : line)),
    ...wrap(`${one.id} (${sourceLine(one)})`, '  ').map((line) => paint('dim', line)),
    ...(finding === undefined ? wrap(`Not run: ${why}`, '    ', 9) : []),
    ...(finding === undefined ? [] : wrap(`Expected: ${finding.expected}`, '    ', 10)),
    ...(finding === undefined ? [] : wrap(`Received: ${finding.received}`, '    ', 10)),
    ...(finding === undefined ? [] : wrap(`Change:   ${finding.change}`, '    ', 10)),
    ...(source === undefined || !verbose ? [] : wrap(`Text:     ${source.quote} ${source.url}`, '    ', 10)),
    // Not wrapped: a command is for pasting.
    ...shown.flatMap(({ sent, status, problem }) => [
      paint('dim', `    ${sent}`),
      paint('dim', `      → ${status ?? problem}`)
    ])
  ]
}

/** Reasons that hold for many checks, with their number. */
function whyNotLines({ results }: Report, wrap: (text: string, indent: string) => string[]): string[] {
  const counts = new Map<string, number>()
  for (const { verdict, why } of results)
    if (verdict === 'not applicable' && why !== undefined) counts.set(why, (counts.get(why) ?? 0) + 1)
  return [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 6)
    .flatMap(([why, count]) => wrap(`${count} × ${why}`, '  '))
}

function toolsOf({ columns = 80, hasColour }: TerminalStyle): {
  readonly paint: (colour: Colour, text: string) => string
  readonly wrap: (text: string, indent: string, hanging?: number) => string[]
} {
  return {
    paint: (colour, text) =>
      hasColour ? styleText(colour, harmless(text), { validateStream: false }) : harmless(text),
    wrap: (text, indent, hanging = 0) => {
      const lines: string[] = []
      let line = indent
      for (const word of harmless(text.replaceAll('\n', ' ')).split(' ')) {
        const start = lines.length === 0 ? indent : indent + ' '.repeat(hanging)
        if (line.trim() !== '' && line.length + 1 + word.length > columns) {
          lines.push(line)
          line = `${indent}${' '.repeat(hanging)}${word}`
        } else line = line.trim() === '' ? `${start}${word}` : `${line} ${word}`
      }
      return [...lines, line]
    }
  }
}

/** Removes what a terminal or a CI log would obey: control characters, and commands of GitHub's and Azure's runners. */
function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}]|#(?=#\w*\[)/gu, '\uFFFD').replace(/^::/, '\uFFFD:')
}
