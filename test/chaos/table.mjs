// @ts-check
/**
 * What the suite measured, as a table: for the terminal, and for docs/reliability.md (`scripts/reliability.mjs`).
 *
 * @typedef {{ readonly metadata: number, readonly jwks: number, readonly introspection: number }} Counts
 * @typedef {{ readonly all: number, readonly held: number }} Times 99th percentiles in milliseconds: of all requests, and of those with a JWT
 *
 * @typedef {object} Line
 * @property {string} fault
 * @property {number} requests
 * @property {number} granted
 * @property {number} wrongAccepts
 * @property {number} wrong401s
 * @property {number} fives
 * @property {number} wrong5xx
 * @property {Counts} upstream the most of any API
 * @property {Counts} bound for each of them
 * @property {Counts} recovery upstream requests of the first two requests that need the authorization server again
 * @property {Times} before
 * @property {Times} during
 *
 * @typedef {object} FloodLine
 * @property {string} flood
 * @property {number} attacks
 * @property {number} victims requests of those who were known before
 * @property {number} wrong401s
 * @property {number} wrong429s
 * @property {number} wrong503s
 * @property {number} firstSeen good requests that were seen for the first time
 * @property {number} served of these
 *
 * @typedef {object} Report
 * @property {readonly string[]} apps
 * @property {number} rounds
 * @property {number} step seconds between two rounds
 * @property {readonly Line[]} lines
 * @property {readonly FloodLine[]} floods
 */

const HEADER = [
  'fault',
  'requests',
  'wrong accepts',
  'wrong 401s',
  '5xx',
  'metadata',
  'keys',
  'introspection',
  'p99, all',
  'p99, JWT'
]

const FLOOD_HEADER = [
  'junk flood',
  'junk requests',
  'requests of known victims',
  'wrong 401s',
  'wrong 429s',
  'wrong 503s',
  'first seen',
  'served at once'
]

/** @param {FloodLine} line @returns {string[]} */
function floodCells({ flood, attacks, victims, wrong401s, wrong429s, wrong503s, firstSeen, served }) {
  return [flood, ...[attacks, victims, wrong401s, wrong429s, wrong503s, firstSeen, served].map(String)]
}

/** @param {readonly Line[]} lines */
export function markdown(lines) {
  return asMarkdown(HEADER, lines.map(cells))
}

/** @param {readonly FloodLine[]} floods */
export function markdownFloods(floods) {
  return asMarkdown(FLOOD_HEADER, floods.map(floodCells))
}

/** @param {readonly string[]} header @param {readonly string[][]} lines */
function asMarkdown(header, lines) {
  const rows = [header, header.map((_, column) => (column === 0 ? '---' : '--:')), ...lines]
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n')
}

/** @param {readonly Line[]} lines */
export function plain(lines) {
  return asPlain(HEADER, lines.map(cells))
}

/** @param {readonly FloodLine[]} floods */
export function plainFloods(floods) {
  return asPlain(FLOOD_HEADER, floods.map(floodCells))
}

/** @param {readonly string[]} header @param {readonly string[][]} lines */
function asPlain(header, lines) {
  const rows = [header, ...lines]
  const widths = header.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  const pad = (/** @type {string} */ text, /** @type {number} */ column) =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0)
  return rows.map((row) => row.map(pad).join('  ')).join('\n')
}

/** @param {Line} line @returns {string[]} */
function cells({ fault, requests, wrongAccepts, wrong401s, fives, upstream, bound, before, during }) {
  return [
    fault,
    ...[requests, wrongAccepts, wrong401s, fives].map(String),
    `${upstream.metadata} / ${bound.metadata}`,
    `${upstream.jwks} / ${bound.jwks}`,
    `${upstream.introspection} / ${bound.introspection}`,
    `${Math.round(before.all)} → ${Math.round(during.all)}`,
    `${Math.round(before.held)} → ${Math.round(during.held)}`
  ]
}
