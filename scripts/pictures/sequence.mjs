// @ts-check
/** Draws a conversation: three lifelines, and below one another what the client sends and what it is answered. */
import { MONO, SANS, svg, xml } from './svg.mjs'

/** @typedef {import('./conversation.mjs').Exchange} Exchange */
/** @typedef {import('./conversation.mjs').Line} Line */

/** Pixels. A page of 400 pixels shows the picture at three quarters of its width. */
const WIDTH = 480
const MARGIN = 12
const FONT = 13
const LINE = 18
/** Width of a character. */
const CHARACTER = FONT * 0.6
/** Where the lifelines are. */
const LANES = { client: 40, api: 236, server: 400 }
const NAMES = { client: 'Client', api: 'Your API', server: 'Authorization server' }
/** Where text begins, and how many characters a line has. */
const TEXT = LANES.client + 14
const COLUMNS = Math.floor((WIDTH - MARGIN - TEXT) / CHARACTER)

const COLOURS = /** @type {const} */ ({
  bg: ['fill', '#ffffff', '#0d1117'],
  frame: ['stroke', '#d1d9e0', '#3d444d'],
  life: ['stroke', '#dfe4ea', '#2b323b'],
  // Around text, where it crosses a lifeline.
  halo: ['stroke', '#ffffff', '#0d1117'],
  box: ['fill', '#f6f8fa', '#151b23'],
  name: ['fill', '#1f2328', '#f0f6fc'],
  title: ['fill', '#1f2328', '#f0f6fc'],
  soft: ['fill', '#59636e', '#9198a1'],
  plain: ['fill', '#1f2328', '#f0f6fc'],
  key: ['fill', '#0550ae', '#79c0ff'],
  line: ['stroke', '#59636e', '#9198a1'],
  tip: ['fill', '#59636e', '#9198a1'],
  good: ['fill', '#1a7f37', '#238636'],
  bad: ['fill', '#cf222e', '#da3633']
})
const STYLE =
  `text{white-space:pre}.m{font:${FONT}px ${MONO}}.s{font:${FONT}px ${SANS}}.name,.title,.b{font-weight:600}` +
  '.badge{fill:#fff;font-weight:600}.halo{paint-order:stroke;stroke-width:5px;stroke-linejoin:round}.frame,.life,.line{fill:none}.life{stroke-width:1.5}.line{stroke-width:1.5}.back{stroke-dasharray:5 4}'

/**
 * @param {object} picture
 * @param {string} picture.title
 * @param {string} picture.description
 * @param {readonly Exchange[]} picture.exchanges
 */
export function drawSequence({ title, description, exchanges }) {
  let y = 58
  const rows = exchanges.map((exchange, index) => {
    const row = drawExchange(exchange, index + 1, y)
    y = row.end
    return row.text
  })
  const height = y + MARGIN - 4
  const lanes = /** @type {(keyof typeof LANES)[]} */ (Object.keys(LANES))
  return svg({
    width: WIDTH,
    height,
    title,
    description,
    colours: COLOURS,
    style: STYLE,
    parts: [
      '<defs><marker id="a" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>',
      `<rect class="bg" width="${WIDTH}" height="${height}" rx="8"/>`,
      `<rect class="frame" x=".5" y=".5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>`,
      ...lanes.map((lane) => `<path class="life" d="M${LANES[lane]} 40V${height - MARGIN}"/>`),
      ...lanes.map(drawParty),
      ...rows
    ]
  })
}

/** @param {keyof typeof LANES} lane */
function drawParty(lane) {
  const name = NAMES[lane]
  const width = Math.round(name.length * 7.4) + 20
  const left = Math.max(MARGIN, Math.min(LANES[lane] - width / 2, WIDTH - MARGIN - width))
  return [
    `<rect class="box" x="${left}" y="12" width="${width}" height="28" rx="6"/>`,
    `<rect class="frame" x="${left}" y="12" width="${width}" height="28" rx="6"/>`,
    `<text class="s name" x="${left + width / 2}" y="30.5" text-anchor="middle">${name}</text>`
  ].join('')
}

/** @param {Exchange} exchange @param {number} number @param {number} top */
function drawExchange({ title, standard, to, sent, status, reason, received }, number, top) {
  const parts = []
  let y = top + 12
  const request = sent.flatMap((one) => wrap(one))
  const answer = received.flatMap((one) => wrap(one))
  const badge = `${status} ${reason}`
  parts.push(
    `<circle class="key" cx="${LANES.client}" cy="${y - 4.5}" r="9.5"/><text class="s bg b" x="${LANES.client}" y="${y}" text-anchor="middle">${number}</text>`,
    `<text class="s halo" x="${TEXT}" y="${y}"><tspan class="title">${xml(title)}</tspan><tspan class="soft" dx="8">${standard}</tspan></text>`
  )
  for (const [index, line] of request.entries()) {
    y += LINE
    parts.push(drawLine(line, y, index === 0 ? 'm b' : 'm'))
  }
  y += 8
  parts.push(`<path class="line" marker-end="url(#a)" d="M${LANES.client} ${y}H${LANES[to]}"/>`)
  y += LINE + 4
  parts.push(
    `<rect class="${status < 400 ? 'good' : 'bad'}" x="${TEXT}" y="${y - 13.5}" width="${badge.length * CHARACTER + 14}" height="18" rx="9"/>`,
    `<text class="m badge" x="${TEXT + 7}" y="${y}">${xml(badge)}</text>`
  )
  for (const line of answer) {
    y += LINE
    parts.push(drawLine(line, y, 'm'))
  }
  y += 8
  parts.push(`<path class="line back" marker-end="url(#a)" d="M${LANES[to]} ${y}H${LANES.client}"/>`)
  return { text: parts.join('\n'), end: y + 18 }
}

/** @param {Line} line @param {number} y @param {string} style */
function drawLine(line, y, style) {
  const spans = line.map(([kind, text]) => `<tspan class="${kind}">${xml(text)}</tspan>`).join('')
  return `<text class="${style} halo" x="${TEXT}" y="${y}" xml:space="preserve">${spans}</text>`
}

/** @param {Line} line */
function lengthOf(line) {
  return line.reduce((sum, [, text]) => sum + text.length, 0)
}

/** Breaks a long line behind a slash or a space. @param {Line} line @returns {Line[]} */
function wrap(line) {
  if (lengthOf(line) <= COLUMNS) return [line]
  let left = COLUMNS
  for (const [index, [kind, text]] of line.entries()) {
    if (text.length <= left) {
      left -= text.length
      continue
    }
    const at = Math.max(text.lastIndexOf('/', left - 1), text.lastIndexOf(' ', left - 1)) + 1
    if (at === 0) throw new Error(`Expected a line of at most ${COLUMNS} characters, or a place to break it: ${text}`)
    const indent = /** @type {const} */ (['plain', '    '])
    return [
      [...line.slice(0, index), [kind, text.slice(0, at)]],
      ...wrap([indent, [kind, text.slice(at)], ...line.slice(index + 1)])
    ]
  }
  return [line]
}
