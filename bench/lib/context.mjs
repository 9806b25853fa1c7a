// @ts-check
/** What every scenario is given: the authorization server, contenders that are started once, and how long to measure. */
import { compareLanes, interleave, startAuthority, startContender } from './arena.mjs'

/** @typedef {import('./types.d.ts').Lane} Lane */
/** @typedef {import('./types.d.ts').Task} Task */
/** @typedef {Omit<Task, 'milliseconds'> & Partial<Pick<Task, 'milliseconds'>>} Work */
/** @typedef {ReturnType<typeof compareLanes>} Comparison */
/** @typedef {Awaited<ReturnType<typeof createContext>>} Context */

export const EFFORTS = {
  full: {
    rounds: 20,
    milliseconds: 12,
    servers: { rounds: 6, milliseconds: 400, warmUp: 1500 },
    pairs: { rounds: 8, milliseconds: 300, requests: 40_000 },
    starts: 7
  },
  /** As warm as the full one, with fewer rounds: shows that a scenario works, and measures little. */
  quick: {
    rounds: 5,
    milliseconds: 12,
    servers: { rounds: 2, milliseconds: 200, warmUp: 1500 },
    pairs: { rounds: 2, milliseconds: 200, requests: 40_000 },
    starts: 3
  }
}

/** Contenders with a function that verifies a token: file of bench/peers by what a table calls it. */
export const VERIFIERS = [
  'ours',
  'fast-jwt',
  'jsonwebtoken',
  'aws-jwt-verify',
  'jose',
  'oauth4webapi',
  'express-oauth2-jwt-bearer',
  'better-auth',
  'hono-jwk'
]

/**
 * @param {string} builtPackage directory with `dist/`
 * @param {(typeof EFFORTS)['full']} effort
 * @param {(text: string) => void} progress
 * @param {number} [tokens] of each algorithm
 */
export async function createContext(builtPackage, effort, progress, tokens) {
  progress('signing tokens')
  const authority = await startAuthority(builtPackage, tokens)
  /** @type {Map<string, Promise<import('./arena.mjs').Contender>>} */
  const started = new Map()
  /** @param {readonly Lane[]} lanes @param {readonly string[]} [flags] @param {string} [node] */
  const contender = (lanes, flags = [], node = process.execPath) => {
    const key = JSON.stringify([lanes, flags, node])
    const known = started.get(key) ?? startContender(authority.file, key, lanes, flags, node)
    started.set(key, known)
    return known
  }
  return {
    effort,
    builtPackage,
    progress,
    file: authority.file,
    fixture: authority.fixture,
    asked: authority.asked,
    contender,

    /**
     * One pair of lanes by itself.
     *
     * @param {readonly [Lane, Lane]} lanes
     * @param {Work} work
     * @param {readonly string[]} [flags]
     * @param {string} [node] path of another Node.js
     */
    compare: async (lanes, work, flags, node) => {
      const one = await contender(lanes, flags, node)
      const rounds = await interleave([one], { milliseconds: effort.milliseconds, ...work }, effort.rounds)
      return compareLanes(rounds.get(one.label) ?? [])
    },

    /**
     * Each of these beside the raw signature check.
     *
     * @param {readonly (readonly [label: string, lane: Lane])[]} lanes
     * @param {Work} work
     * @returns {Promise<Map<string, Comparison>>} by label
     */
    besideRaw: async (lanes, work) => {
      const all = await Promise.all(lanes.map(([, lane]) => contender([lane, { module: 'raw' }])))
      const costs = await interleave(all, { milliseconds: effort.milliseconds, ...work }, effort.rounds)
      return new Map(lanes.map(([label], i) => [label, compareLanes(costs.get(all[i]?.label ?? '') ?? [])]))
    },

    close: async () => {
      for (const one of started.values()) (await one).close()
      authority.close()
    }
  }
}

/** @param {readonly string[]} modules @returns {(readonly [string, Lane])[]} */
export const lanesOf = (modules) => modules.map((module) => [module, { module }])
