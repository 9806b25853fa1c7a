/**
 * Writes output for people or programs: text, with colour on an interactive terminal, or JSON.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import { stripVTControlCharacters, styleText } from 'node:util'
import type { HttpOptions } from '../http/settings.js'

/** A terminal, or a replacement in tests. */
export interface Terminal {
  readonly isTTY: boolean
  /** True if the environment asks for no colour; https://no-color.org. */
  readonly noColor: boolean
  /** Characters in a line; undefined where the output is not a terminal, and lines are not wrapped. */
  readonly columns?: number | undefined
  /** Writes to standard output. */
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Reads all of standard input. */
  readonly input: () => Promise<string>
  readonly readFile: (path: string) => Promise<string>
  /** Reads the troubleshooting page of this version, in Markdown. */
  readonly readPage: () => Promise<string>
  /** Used for requests to the API itself. */
  readonly fetch: typeof fetch
  /** HTTP options for authorization servers. Default: those of a resource server. */
  readonly http?: HttpOptions | undefined
  /** The current time, in seconds since the epoch. */
  readonly now: () => number
}

type Verdict = 'passed' | 'failed' | 'warning' | 'not reached' | 'note'

export interface Finding {
  readonly verdict: Verdict
  readonly name: string
  /** Details of the finding, and what to do about it. */
  readonly detail?: string | undefined
}

const MARKS: Readonly<Record<Verdict, readonly [mark: string, style: 'green' | 'red' | 'yellow' | 'dim']>> = {
  passed: ['✓', 'green'],
  failed: ['✗', 'red'],
  warning: ['!', 'yellow'],
  'not reached': ['–', 'dim'],
  note: ['·', 'dim']
}

export type Style = 'green' | 'red' | 'yellow' | 'dim' | 'bold'

export function painter({ isTTY, noColor }: Terminal): (style: Style, text: string) => string {
  return (style, text) => (isTTY && !noColor ? styleText(style, text, { validateStream: false }) : text)
}

/** Maximum characters of a line on a wide terminal. */
const MAX_COLUMNS = 100

/**
 * Writes text for people. Lines are wrapped between words to the width of the terminal, and never within a word.
 *
 * @param indent begins each line
 */
export function say({ columns, out }: Terminal, text: string, indent = ''): void {
  const width = columns === undefined ? Number.POSITIVE_INFINITY : Math.min(columns, MAX_COLUMNS) - indent.length
  for (const line of text.split('\n')) {
    // A line that continues a list item stands under its text.
    const hanging = /^(?:[-✓✗!–·] | *)/.exec(stripVTControlCharacters(line))?.[0].length ?? 0
    const [first = '', ...more] = wrap(line, width, hanging)
    out(`${indent}${first}\n`)
    for (const rest of more) out(`${indent}${' '.repeat(hanging)}${rest}\n`)
  }
}

/** Breaks a line at spaces. Colours have no width. */
function wrap(line: string, width: number, hanging: number): readonly string[] {
  if (width === Number.POSITIVE_INFINITY) return [line]
  const lines: string[] = []
  let last: string | undefined
  for (const word of line.split(' ')) {
    const longer: string = last === undefined ? word : `${last} ${word}`
    const room = lines.length > 0 ? width - hanging : width
    if (last === undefined || stripVTControlCharacters(longer).length <= room) last = longer
    else {
      lines.push(last)
      last = word
    }
  }
  return [...lines, last ?? '']
}

export function writeFinding(terminal: Terminal, { verdict, name, detail }: Finding): void {
  const [mark, style] = MARKS[verdict]
  say(terminal, `${painter(terminal)(style, mark)} ${name}`)
  // CI runners (GitHub) interpret a log line with this prefix as a command.
  const told = (line: string): string => line.replace(/^::/, '�')
  if (detail !== undefined) for (const line of detail.split('\n')) say(terminal, told(line.trimStart()), '    ')
}

/**
 * Matches terminal control characters; `##[…]` and `##vso[…]`, which CI runners interpret anywhere in a line (GitHub,
 * Azure); and U+2028 and U+2029, which end a `//` comment in the printed configuration.
 */
const OBEYED = /(?!\n)[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]|#(?=#\w*\[)/gu

/** Removes everything that a terminal or CI log would interpret from untrusted text. */
export function harmless(text: string): string {
  return text.replace(OBEYED, '�')
}

/** Like {@link harmless}, for one line: untrusted text cannot start a new line that looks like our output. */
export function inLine(text: string): string {
  return harmless(text).replaceAll('\n', '�')
}

/** JSON for programs, also harmless in a terminal: control characters are written as Unicode escapes. */
export function json(value: unknown): string {
  const byNumber = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `${JSON.stringify(value, null, 2).replace(OBEYED, byNumber)}\n`
}

/** Shows a message during the work, on an interactive terminal only. */
export async function waiting<T>(terminal: Terminal, what: string, work: Promise<T>): Promise<T> {
  if (!terminal.isTTY) return work
  terminal.err(`${inLine(what)} …`)
  try {
    return await work
  } finally {
    terminal.err('\r\u001b[K')
  }
}
