// @ts-check
/** Text for a terminal of 80 columns, in colour where somebody looks at it. */
import { styleText } from 'node:util'

const WIDTH = 80

/** Colour only on a terminal, and not where NO_COLOR is set (https://no-color.org) or the terminal is a dumb one. */
const { NO_COLOR = '', TERM } = process.env
const colour = process.stdout.isTTY === true && NO_COLOR === '' && TERM !== 'dumb'

/**
 * @param {Parameters<typeof styleText>[0]} style
 * @param {string} text
 */
export function paint(style, text) {
  return colour ? styleText(style, text) : text
}

/** @param {string} [text] */
export function print(text = '') {
  process.stdout.write(`${text}\n`)
}

/** @param {string} title */
export function heading(title) {
  print(`\n${paint('bold', title)}\n${paint('dim', '─'.repeat(WIDTH))}`)
}

/** A space where `wrap` breaks no line. */
export const NO_BREAK = '\u00a0'

/**
 * Breaks text at spaces; a word too long for a line where the path of its URL begins, else where the line ends.
 * @param {string} text
 * @param {string} indent of the first line
 * @param {string} [hanging] of the others
 * @returns {string} lines without style: measure first, paint afterwards
 */
export function wrap(text, indent, hanging = indent) {
  /** @type {string[]} */
  const lines = []
  let line = ''
  const indented = () => (lines.length === 0 ? indent : hanging)
  const room = () => WIDTH - indented().length
  const end = () => {
    lines.push(indented() + line)
    line = ''
  }
  for (let word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > room()) end()
    while (word.length > room()) {
      const path = word.search(/(?<=\w)\/(?=[\w.])/)
      const cut = path > 0 && path <= room() ? path : room()
      line = word.slice(0, cut)
      word = word.slice(cut)
      end()
    }
    line += line === '' ? word : ` ${word}`
  }
  end()
  return lines.join('\n').replaceAll(NO_BREAK, ' ')
}

/** @param {boolean} good */
export function mark(good) {
  return good ? paint('green', '✓') : paint('red', '✗')
}

/** @param {number} status */
export function paintStatus(status, text = String(status)) {
  return paint(status < 300 ? 'green' : status < 500 ? 'yellow' : 'red', text)
}

/** As much of a token as may be shown: enough to tell two apart, too little to use. @param {string} token */
export function redact(token) {
  return token.length > 16 ? `${token.slice(0, 12)}…` : token
}

const COLUMN = 9

/** @param {number} columns */
const titleWidth = (columns) => WIDTH - 6 - columns * COLUMN

/** @param {readonly string[]} columns */
export function tableHead(columns) {
  const names = columns.map((name) => paint('bold', name.padEnd(COLUMN))).join('')
  print(`    ${' '.repeat(titleWidth(columns.length))}  ${names}`.trimEnd())
}

/**
 * @param {number} number
 * @param {string} title
 * @param {readonly { status: number, isGood: boolean }[]} answers one for each column
 */
export function tableRow(number, title, answers) {
  const width = titleWidth(answers.length)
  const text = title.length > width ? `${title.slice(0, width - 1)}…` : title.padEnd(width)
  const cells = answers.map(({ status, isGood }) => `${mark(isGood)} ${paintStatus(status)}`)
  print(`${paint('dim', String(number).padStart(3))} ${text}  ${cells.join(' '.repeat(COLUMN - 5))}`)
}
