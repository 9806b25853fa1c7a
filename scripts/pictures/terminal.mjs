// @ts-check
/**
 * What a command prints on a terminal, with its colours, as a drawing. The command runs in a terminal (`script` of
 * util-linux), and xterm interprets what it prints.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text as textOf } from 'node:stream/consumers'
import xterm from '@xterm/headless'
import { MONO, SANS, svg, xml } from './svg.mjs'

/** Pixels. */
const FONT = 13
const LINE = 18
const CHARACTER = FONT * 0.6
const PADDING = 16
const BAR = 34
const COLUMNS = 78

/** Colours of a terminal by their number, as classes. */
const CLASSES = /** @type {Readonly<Record<number, string>>} */ ({ 1: 'red', 2: 'green', 3: 'yellow' })
const COLOURS = /** @type {const} */ ({
  bg: ['fill', '#ffffff', '#0d1117'],
  bar: ['fill', '#f6f8fa', '#151b23'],
  frame: ['stroke', '#d1d9e0', '#3d444d'],
  dot: ['fill', '#d1d9e0', '#3d444d'],
  plain: ['fill', '#1f2328', '#f0f6fc'],
  dim: ['fill', '#59636e', '#9198a1'],
  red: ['fill', '#cf222e', '#ff7b72'],
  green: ['fill', '#1a7f37', '#3fb950'],
  yellow: ['fill', '#7d4e00', '#e3b341']
})

/** Terminals are not simulated where there is no `script`. */
export function hasTerminal() {
  return spawnSync('script', ['--version'], { stdio: 'ignore' }).status === 0
}

/** @param {string} command of a shell @returns {Promise<string>} what it printed, with control sequences */
export async function runInTerminal(command) {
  const child = spawn('script', ['-qec', `stty cols ${COLUMNS}; ${command}`, '/dev/null'], {
    env: { PATH: process.env['PATH'], TERM: 'xterm-256color', SHELL: '/bin/sh' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [output] = await Promise.all([textOf(child.stdout), once(child, 'exit')])
  return output
}

/** @typedef {{ text: string, style: string }} Span */

/** @param {string} output with control sequences @returns {Promise<Span[][]>} its lines, in parts of one style */
export async function readScreen(output) {
  const terminal = new xterm.Terminal({ cols: COLUMNS, rows: 200, allowProposedApi: true })
  await new Promise((resolve) => terminal.write(output, () => resolve(undefined)))
  const { active } = terminal.buffer
  /** @type {Span[][]} */
  const lines = []
  for (let row = 0; row < active.length; row++) {
    /** @type {Span[]} */
    const spans = []
    const line = active.getLine(row)
    const length = line?.translateToString(true).length ?? 0
    for (let column = 0; column < length; column++) {
      const cell = line?.getCell(column)
      if (cell === undefined) continue
      const style = `${styleOf(cell)}${cell.isBold() ? ' b' : ''}`
      const last = spans.at(-1)
      if (last?.style === style) last.text += cell.getChars() || ' '
      else spans.push({ text: cell.getChars() || ' ', style })
    }
    lines.push(spans)
  }
  terminal.dispose()
  while (lines.length > 0 && lines.at(-1)?.length === 0) lines.pop()
  return lines
}

/** @param {import('@xterm/headless').IBufferCell} cell */
function styleOf(cell) {
  if (cell.isDim()) return 'dim'
  return (cell.isFgPalette() && CLASSES[cell.getFgColor()]) || 'plain'
}

/**
 * @param {object} picture
 * @param {string} picture.title
 * @param {string} picture.description
 * @param {readonly string[]} picture.command as a person types it, in lines
 * @param {readonly (readonly Span[])[]} picture.lines
 */
export function drawTerminal({ title, description, command, lines }) {
  const typed = command.map((text, index) => [
    { text: index === 0 ? '$ ' : '  ', style: 'dim' },
    { text, style: 'plain b' }
  ])
  const all = [...typed, ...lines]
  const longest = Math.max(...all.map((spans) => spans.reduce((sum, { text }) => sum + text.length, 0)))
  const width = Math.ceil(longest * CHARACTER) + 2 * PADDING
  const height = BAR + all.length * LINE + 2 * PADDING - 6
  return svg({
    width,
    height,
    title,
    description,
    colours: COLOURS,
    style: `text{white-space:pre}.m{font:${FONT}px ${MONO}}.s{font:12px ${SANS}}.b{font-weight:600}.frame{fill:none}`,
    parts: [
      `<rect class="bg" width="${width}" height="${height}" rx="8"/>`,
      `<path class="bar" d="M0 ${BAR}V8a8 8 0 0 1 8-8H${width - 8}a8 8 0 0 1 8 8V${BAR}z"/>`,
      `<path class="frame" d="M0 ${BAR - 0.5}H${width}"/>`,
      `<rect class="frame" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>`,
      ...[20, 38, 56].map((x) => `<circle class="dot" cx="${x}" cy="${BAR / 2}" r="5.5"/>`),
      `<text class="s dim" x="${width / 2}" y="${BAR / 2 + 4}" text-anchor="middle">${xml(title)}</text>`,
      ...all.map((spans, index) => drawLine(spans, BAR + PADDING + 8 + index * LINE)).filter(Boolean)
    ]
  })
}

/** @param {readonly Span[]} spans @param {number} y */
function drawLine(spans, y) {
  if (spans.length === 0) return ''
  const parts = spans.map(({ text, style }) => `<tspan class="${style}">${xml(text)}</tspan>`)
  return `<text class="m" x="${PADDING}" y="${y}" xml:space="preserve">${parts.join('')}</text>`
}
