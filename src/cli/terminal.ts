/** What is written to a person or to a program: text of a terminal, in colour where somebody looks at it, or JSON. */
import { styleText } from 'node:util'
import type { HttpOptions } from '../http/settings.js'

/** A terminal, or what stands for one. */
export interface Terminal {
  readonly isTTY: boolean
  /** As in the environment; https://no-color.org. */
  readonly noColor: boolean
  /** Of the process. */
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** All of standard input. */
  readonly input: () => Promise<string>
  readonly readFile: (path: string) => Promise<string>
  /** For what an API itself answers. */
  readonly fetch: typeof fetch
  /** How authorization servers are reached. Default: as a resource server reaches them. */
  readonly http?: HttpOptions | undefined
  /** Seconds since the epoch. */
  readonly now: () => number
}

type Verdict = 'passed' | 'failed' | 'warning' | 'not reached' | 'note'

export interface Finding {
  readonly verdict: Verdict
  readonly name: string
  /** What was found, and what to do about it. */
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

export function writeFinding(terminal: Terminal, { verdict, name, detail }: Finding): void {
  const [mark, style] = MARKS[verdict]
  terminal.out(`${painter(terminal)(style, mark)} ${name}\n`)
  // A line of a log that begins so is an instruction to those who run jobs (GitHub).
  const told = (line: string): string => line.replace(/^::/, '�')
  if (detail !== undefined) for (const line of detail.split('\n')) terminal.out(`    ${told(line.trimStart())}\n`)
}

/** What a terminal obeys; and `##[…]`, `##vso[…]`, which those who run jobs obey anywhere in a line (GitHub, Azure). */
const OBEYED = /(?!\n)[\p{Cc}\p{Bidi_Control}]|#(?=#\w*\[)/gu

/** Whatever came from elsewhere, without what a terminal or a log would obey. */
export function harmless(text: string): string {
  return text.replace(OBEYED, '�')
}

/** The same, of one line: what came from elsewhere does not begin another, which would look like one of ours. */
export function inLine(text: string): string {
  return harmless(text).replaceAll('\n', '�')
}

/** For programs, and harmless all the same where it is shown: JSON may write any character by its number. */
export function json(value: unknown): string {
  const byNumber = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `${JSON.stringify(value, null, 2).replace(OBEYED, byNumber)}\n`
}

/** Shown while something is waited for, where somebody looks at it. */
export async function waiting<T>(terminal: Terminal, what: string, work: Promise<T>): Promise<T> {
  if (!terminal.isTTY) return work
  terminal.err(`${inLine(what)} …`)
  try {
    return await work
  } finally {
    terminal.err('\r\u001b[K')
  }
}
