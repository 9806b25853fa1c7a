// @ts-check
/**
 * Serves the page at an origin of its own, so that it may do only what any page may do. It answers two questions of the
 * page as well: it relays requests where there is no CORS, and makes the checks of an API that does not tell them.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'
import { createChecks } from './checks.mjs'
import { relay } from './relay.mjs'
import { readQuestion } from './requests.mjs'

/** Content types of the served files, by extension. */
const TYPES = /** @type {Readonly<Record<string, string>>} */ ({
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8'
})
const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  // For a moment the URL of the page holds the authorization code.
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY'
}

/**
 * @param {object} [options]
 * @param {number} [options.port] default: any free one
 * @param {string} [options.url] the protected URL that the page begins with
 */
export async function startPlayground({ port = 0, url } = {}) {
  const checks = createChecks()
  const http = createServer((request, response) => {
    // A fault of this server must not end it.
    answer(request, response).catch((error) => {
      console.error('playground:', error)
      if (!response.headersSent) response.writeHead(500, HEADERS)
      response.end()
    })
  })
  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (http.address())
  const origin = `http://127.0.0.1:${address.port}`

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  async function answer(request, response) {
    const { pathname } = new URL(request.url ?? '/', origin)
    const act = { '/relay': relay, '/checks': checks.judge }[pathname]
    if (act !== undefined) {
      const question = await readQuestion(request, origin)
      if (question === undefined) return void response.writeHead(403, { ...HEADERS, Connection: 'close' }).end()
      const found = await act(question)
      if (found === undefined) return void response.writeHead(404, HEADERS).end()
      response.writeHead(200, { ...HEADERS, 'Content-Type': 'application/json' }).end(JSON.stringify(found))
      return
    }
    const name = pathname === '/' ? 'index.html' : pathname.slice(1)
    const type = TYPES[extname(name)]
    // Only files of this folder.
    const content = type && /^[\w-]+\.\w+$/.test(name) && (await read(name))
    if (!content) return void response.writeHead(404, HEADERS).end()
    response.writeHead(200, { ...HEADERS, 'Content-Type': type }).end(content)
  }

  return {
    origin,
    url: url === undefined ? `${origin}/` : `${origin}/?${new URLSearchParams({ url })}`,
    close: async () => {
      const closed = once(http, 'close')
      http.close()
      http.closeAllConnections()
      await closed
      await checks.close()
    }
  }
}

/** @param {string} name */
async function read(name) {
  return readFile(new URL(name, import.meta.url)).catch(() => undefined)
}
