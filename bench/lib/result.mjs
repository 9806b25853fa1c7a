// @ts-check
/** What a scenario found, for the terminal and for docs/performance.md. */
import { short } from './stats.mjs'

/**
 * @typedef {object} Target
 * @property {string} what
 * @property {'>=' | '<=' | '='} relation
 * @property {number} target
 * @property {number} got
 *
 * @typedef {object} Table
 * @property {string} caption
 * @property {readonly string[]} columns
 * @property {readonly (readonly (string | number)[])[]} rows
 *
 * @typedef {object} Result
 * @property {readonly Target[]} targets
 * @property {readonly Table[]} tables
 * @property {Readonly<Record<string, readonly (readonly [label: string, value: number])[]>>} [bars] for the chart, by panel
 *
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string} title
 * @property {string} about what is done, in a sentence or two
 * @property {(context: import('./context.mjs').Context) => Promise<Result>} run
 */

/** @param {string} what @param {number} target @param {number} got @returns {Target} */
export const atLeast = (what, target, got) => ({ what, relation: '>=', target, got })
/** @param {string} what @param {number} target @param {number} got @returns {Target} */
export const atMost = (what, target, got) => ({ what, relation: '<=', target, got })
/** @param {string} what @param {number} target @param {number} got @returns {Target} */
export const exactly = (what, target, got) => ({ what, relation: '=', target, got })

/** @param {Target} target */
export function isReached({ relation, target, got }) {
  if (relation === '>=') return got >= target
  return relation === '<=' ? got <= target : got === target
}

/** What a table calls a file of bench/peers. @type {Record<string, string>} */
const LABELS = {
  ours: '**oauth-resource-server**',
  raw: 'raw `crypto.verify`',
  minimal: 'the same checks in one function, without a cache',
  mark: 'sets `auth`, and nothing else',
  mcp: 'MCP SDK `requireBearerAuth` + jose',
  'express-jwt': 'express-jwt + jwks-rsa',
  'passport-jwt': 'passport-jwt + jwks-rsa',
  'koa-jwt': 'koa-jwt + jwks-rsa',
  'fastify-jwt': '@fastify/jwt + get-jwks',
  'hono-jwk': 'Hono `jwk`'
}
/** @param {string} module */
export const labelOf = (module) => LABELS[module] ?? module

/**
 * Costs beside the raw signature check, as a table.
 *
 * @param {string} caption
 * @param {ReadonlyMap<string, import('./context.mjs').Comparison>} costs `ours` is one of them
 * @returns {Table}
 */
export function costTable(caption, costs) {
  const own = costs.get('ours')
  const raw = own?.other
  const [cpu, call] = [own?.cpu ?? 0, own?.call ?? 0]
  return {
    caption,
    columns: [
      '',
      'CPU, µs',
      'by the clock, µs',
      'median call, µs',
      'times raw',
      '±',
      'times raw, median call',
      'ours is faster by',
      'faster by, median call'
    ],
    rows: [
      [
        'raw `crypto.verify`',
        short(raw?.cpu ?? 0),
        short(raw?.wall ?? 0),
        short(raw?.call ?? 0),
        '1',
        '',
        Number.isNaN(call) ? '-' : '1',
        times(cpu),
        times(call)
      ],
      ...[...costs].map(([label, one]) => [
        labelOf(label),
        short(one.own.cpu),
        short(one.own.wall),
        short(one.own.call),
        short(one.cpu),
        short(one.spread),
        short(one.call),
        label === 'ours' ? '' : times(cpu / one.cpu),
        label === 'ours' ? '' : times(call / one.call)
      ])
    ]
  }
}

/** @param {number} value */
export const times = (value) => (Number.isFinite(value) ? `${short(value)} ×` : '-')
