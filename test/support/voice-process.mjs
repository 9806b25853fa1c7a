/**
 * A server without a logger, on the framework of the first argument, and the requests of a client with bad tokens.
 * Every value in the tokens, proofs and unread fields begins with SECRET. Prints the answers' statuses as JSON; the rest
 * of its output is that of the package and the framework.
 */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { resourceServer, scope } from 'oauth-resource-server'
import { logTo } from 'oauth-resource-server/log'
import { createTestIssuer } from 'oauth-resource-server/testing'

const [framework, ...flags] = process.argv.slice(2)
const RESOURCE = 'https://api.example.com'
// As on hosts that lack it.
if (flags.includes('no emitWarning')) process.emitWarning = undefined
const as = await createTestIssuer()
await as.listen()
// No `log: false` here: this program shows what a server without a logger says.
const api = resourceServer({
  ...as.options({ resource: RESOURCE }),
  log: flags.includes('log: false') ? false : undefined
})
// Nothing listens at this address.
const down = resourceServer({
  resource: RESOURCE,
  issuers: [{ issuer: 'http://127.0.0.1:9', introspection: { clientId: 'api', auth: () => ({}) } }]
})

const ROUTES = { '/orders/:id': [api, scope('read')], '/down': [down] }

async function onExpress(name) {
  const { default: express } = await import(name)
  const forExpress = await import('oauth-resource-server/express')
  const app = express()
  for (const [path, [of, ...requirements]] of Object.entries(ROUTES))
    app.get(path, forExpress.protect(of, ...requirements), (_, response) => response.end())
  app.use(forExpress.errorHandler())
  return app.listen(0)
}

async function onKoa(name) {
  const { default: Application } = await import(name)
  const { default: Router } = await import('@koa/router')
  const forKoa = await import('oauth-resource-server/koa')
  const app = new Application()
  const router = new Router()
  if (flags.includes('listener'))
    app.on('error', (error) => console.log(`app.on('error'): ${error.status} ${error.reason}`))
  if (!flags.includes('no errorHandler')) app.use(forKoa.errorHandler())
  for (const [path, [of, ...requirements]] of Object.entries(ROUTES))
    router.get(path, forKoa.protect(of, ...requirements), (context) => {
      context.body = ''
    })
  return app.use(router.routes()).listen(0)
}

async function onFastify(logger) {
  const { default: fastify } = await import('fastify')
  const forFastify = await import('oauth-resource-server/fastify')
  const app = fastify({ logger })
  app.setErrorHandler(forFastify.errorHandler)
  for (const [url, [of, ...requirements]] of Object.entries(ROUTES))
    app.get(url, { onRequest: forFastify.protect(of, ...requirements) }, async () => '')
  await app.listen({ port: 0 })
  return app.server
}

async function onHono() {
  const { serve } = await import('@hono/node-server')
  const { Hono } = await import('hono')
  const forHono = await import('oauth-resource-server/hono')
  const app = new Hono()
  for (const [path, [of, ...requirements]] of Object.entries(ROUTES))
    app.get(path, forHono.protect(of, ...requirements), (context) => context.text(''))
  return serve({ fetch: app.fetch, port: 0 })
}

const guardOf = (url) => Object.entries(ROUTES).find(([path]) => url.startsWith(path.split(':')[0]))?.[1] ?? [api]

async function onNode() {
  const forNode = await import('oauth-resource-server/node')
  return createServer(async (request, response) => {
    const access = await forNode.protect(...guardOf(request.url))(request, response)
    if (access) response.end()
  }).listen(0)
}

async function onFetch() {
  const { serve } = await import('@hono/node-server')
  const { Hono } = await import('hono')
  const forFetch = await import('oauth-resource-server/fetch')
  const app = new Hono()
  app.all('*', async ({ req }) => {
    const decided = await forFetch.protect(...guardOf(new URL(req.url).pathname))(req.raw)
    return decided instanceof Response ? decided : new Response('')
  })
  return serve({ fetch: app.fetch, port: 0 })
}

const SERVERS = {
  express: () => onExpress('express'),
  express4: () => onExpress('express4'),
  koa: () => onKoa('koa'),
  koa2: () => onKoa('koa2'),
  fastify: () => onFastify(false),
  'fastify with a logger': () => onFastify({ level: 'info', stream: process.stdout }),
  hono: onHono,
  node: onNode,
  fetch: onFetch
}
const server = await SERVERS[framework]()
if (!server.listening) await once(server, 'listening')
const origin = `http://127.0.0.1:${server.address().port}`

let secrets = 0
const secret = (name) => `SECRET-${name}-${secrets++}`
const segment = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const claims = (more = {}) => ({
  sub: secret('sub'),
  client_id: secret('client'),
  jti: secret('jti'),
  scope: secret('scope'),
  aud: RESOURCE,
  [secret('claim')]: [secret('value')],
  exp: Math.floor(Date.now() / 1000) + 300,
  iat: Math.floor(Date.now() / 1000),
  ...more
})
const signature = Buffer.from(secret('signature').padEnd(64)).toString('base64url')
const forged = (header, more) =>
  `${segment({ alg: 'ES256', typ: 'at+jwt', kid: secret('kid'), jku: secret('jku'), ...header })}.${segment(claims({ iss: as.issuer, ...more }))}.${signature}`

const tokens = [
  undefined,
  secret('opaque'),
  forged({}, { iss: `https://${secret('iss')}` }),
  forged({}, { aud: secret('aud') }),
  forged({}, { aud: secret('aud') }),
  forged({ typ: secret('typ') }),
  forged({ alg: secret('alg') }),
  forged({ crit: [secret('crit')] }),
  forged({}, { exp: 1 }),
  forged({}, { nbf: 4_000_000_000 }),
  forged({}, { cnf: { [secret('cnf')]: secret('cnf') } }),
  forged({}, { sub: [secret('sub')] }),
  forged({}),
  as.tampered(claims()),
  as.token(claims()),
  as.token(claims({ cnf: { jkt: secret('jkt') } }))
]
const statuses = []
const types = []

async function ask(path, headers) {
  const response = await fetch(origin + path, {
    headers: { 'x-unread': secret('field'), cookie: secret('cookie'), ...headers }
  })
  if ((await response.text()) === '') types.push(response.headers.get('content-type'))
  statuses.push(response.status)
}

const end = flags.includes('logTo') ? logTo(console) : undefined
for (const token of tokens) await ask('/orders/17', token && { authorization: `Bearer ${token}` })
const proof = `${segment({ typ: secret('typ'), alg: 'ES256', jwk: { kty: secret('kty') } })}.${segment({ jti: secret('jti') })}.${signature}`
await ask('/orders/17', { authorization: `DPoP ${as.token(claims({ cnf: { jkt: secret('jkt') } }))}`, dpop: proof })
as.fail('introspection', 'garbage')
for (let i = 0; i < 2; i++) await ask('/orders/17', { authorization: `Bearer ${as.opaque(claims())}` })
for (let i = 0; i < 2; i++) await ask('/down', { authorization: `Bearer ${secret('opaque')}` })
end?.()
if (end) await ask('/down', { authorization: `Bearer ${secret('opaque')}` })

console.log(`\n${JSON.stringify({ statuses, types })}`)
server.close()
server.closeAllConnections()
await as.close()
