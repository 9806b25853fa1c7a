// @ts-check
/** Serves the files of the playground: of its own origin, so that all it does is what a browser lets any page do. */

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'

/** By extension, those that are served. */
const TYPES = /** @type {Readonly<Record<string, string>>} */ ({
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8'
})
const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  // The URL of the page holds the authorization code for a moment.
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY'
}

/**
 * @param {object} [options]
 * @param {number} [options.port] default: any free one
 * @param {string} [options.api] that the page begins with
 */
export async function startPlayground({ port = 0, api } = {}) {
  const http = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://playground')
    const name = pathname === '/' ? 'index.html' : pathname.slice(1)
    const type = TYPES[extname(name)]
    // Of this folder, and no other.
    const content = type && /^[\w-]+\.\w+$/.test(name) && (await read(name))
    if (!content) return void response.writeHead(404, HEADERS).end()
    response.writeHead(200, { ...HEADERS, 'Content-Type': type }).end(content)
  })
  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (http.address())
  const origin = `http://127.0.0.1:${address.port}`
  return {
    origin,
    url: api === undefined ? `${origin}/` : `${origin}/?${new URLSearchParams({ api })}`,
    close: async () => {
      const closed = once(http, 'close')
      http.close()
      http.closeAllConnections()
      await closed
    }
  }
}

/** @param {string} name */
async function read(name) {
  return readFile(new URL(name, import.meta.url)).catch(() => undefined)
}
