// @ts-check
/** Who may use the management API, and how often anybody may ask anything. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { forbidden, tooManyRequests, unauthorized } from './problems.mjs'

/** @typedef {{ key: string, mayWrite: boolean }} ApiKey */

/** @param {readonly ApiKey[]} apiKeys */
export function createApiKeys(apiKeys) {
  const known = apiKeys.map(({ key, mayWrite }) => ({ digest: digest(key), mayWrite }))

  /** @param {import('koa').Context} ctx */
  const find = (ctx) => {
    const [, key] = /^Bearer +(\S+)$/i.exec(ctx.get('authorization')) ?? []
    if (key === undefined) return undefined
    const given = digest(key)
    return known.find((one) => timingSafeEqual(one.digest, given))
  }

  return {
    /** The API key in `Authorization`, if it is one. */
    find,
    /** @type {import('koa').Middleware} */
    mayRead: async (ctx, next) => {
      if (!find(ctx)) throw unauthorized()
      await next()
    },
    /** @type {import('koa').Middleware} */
    mayWrite: async (ctx, next) => {
      const key = find(ctx)
      if (!key) throw unauthorized()
      if (!key.mayWrite) throw forbidden()
      await next()
    }
  }
}

/** @param {string} text */
function digest(text) {
  return createHash('sha256').update(text).digest()
}

/** @typedef {{ requests: number, seconds: number }} RateLimit */

/**
 * So many requests in so many seconds from each address, of which each endpoint has its own count.
 * @param {RateLimit} limit
 * @returns {(address: string, path: string) => void} throws where it is one too many
 */
export function createRateLimit({ requests, seconds }) {
  /** @type {Map<string, number>} */
  let counts = new Map()
  let until = 0
  return (address, path) => {
    const now = performance.now() / 1000
    if (now >= until) {
      counts = new Map()
      until = now + seconds
    }
    const name = `${address} ${path}`
    const count = (counts.get(name) ?? 0) + 1
    counts.set(name, count)
    if (count > requests) throw tooManyRequests(Math.ceil(until - now))
  }
}
