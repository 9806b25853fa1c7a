// @ts-check
/**
 * One server in a process of its own: `GET /items` behind one contender, answered with `{"ok":true}`; and another one
 * without it, of the same framework.
 *
 * `node app.mjs <fixture file> <framework> <peer module, or ""> <variant as JSON>`; says `{ port, openPort }` when they
 * listen, and `{ cpu }`, microseconds, whenever it is asked.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [file = '', framework = 'express', module = '', variant = '{}'] = process.argv.slice(2)
/** @type {import('./types.d.ts').Fixture} */
const fixture = JSON.parse(readFileSync(file, 'utf8'))
const settings = JSON.parse(variant)
/** @type {import('./types.d.ts').Setup} */
const setup = { ...fixture, ...(settings.package && { package: settings.package }), variant: settings }
/** @type {import('./types.d.ts').Peer | undefined} */
const peer = module ? (await import(module)).default : undefined
const ANSWER = Object.freeze({ ok: true })

/** @type {Record<string, (peer?: import('./types.d.ts').Peer) => Promise<import('node:http').Server>>} */
const frameworks = {
  express: async (peer) => {
    const { default: express } = await import('express')
    const app = express()
    const handlers = peer ? /** @type {any[]} */ ([await peer.express?.(setup)].flat()) : []
    app.get('/items', ...handlers, (/** @type {any} */ _request, /** @type {any} */ response) => response.json(ANSWER))
    return app.listen(0, '127.0.0.1')
  },
  koa: async (peer) => {
    const { default: Koa } = await import('koa')
    const app = new Koa()
    if (peer) app.use(/** @type {any} */ (await peer.koa?.(setup)))
    app.use((/** @type {any} */ ctx) => {
      ctx.body = ANSWER
    })
    return app.listen(0, '127.0.0.1')
  },
  hono: async (peer) => {
    const [{ Hono }, { serve }] = await Promise.all([import('hono'), import('@hono/node-server')])
    const app = new Hono()
    if (peer) app.use(/** @type {any} */ (await peer.hono?.(setup)))
    app.get('/items', (c) => c.json(ANSWER))
    return /** @type {import('node:http').Server} */ (serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }))
  },
  fastify: async (peer) => {
    const { default: fastify } = await import('fastify')
    const app = fastify()
    const options = (await peer?.fastify?.(setup, app)) ?? {}
    app.get('/items', options, async () => ANSWER)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app.server
  },
  node: async (peer) => {
    const verify = await peer?.verify?.(setup)
    const body = JSON.stringify(ANSWER)
    return createServer((request, response) => {
      const answer = () => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
      }
      if (request.url === '/ping' || !verify) return answer()
      const refuse = () => response.writeHead(401).end()
      try {
        const result = /** @type {any} */ (verify(request.headers.authorization ?? ''))
        if (typeof result?.then === 'function') result.then(answer, refuse)
        else answer()
      } catch {
        refuse()
      }
    }).listen(0, '127.0.0.1')
  }
}

/** @param {import('./types.d.ts').Peer} [guard] */
async function listen(guard) {
  const server = /** @type {import('node:http').Server} */ (await frameworks[framework]?.(guard))
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port
}

const [port, openPort] = [await listen(peer), await listen()]
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpu: user + system })
})
process.once('disconnect', () => process.exit())
process.send?.({ port, openPort })
