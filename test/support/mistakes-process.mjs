/**
 * A server with one mistake, on the framework of the first argument, and the request of a client that shows it. No
 * logger is configured. Every value that a client chooses begins with SECRET. Prints the answers' statuses as JSON; the
 * rest of its output is that of the package and the framework.
 *
 * `scripts/mistakes.mjs` runs it for each mistake and framework.
 */
import { once } from 'node:events'
import { createServer as createPlainServer, request as plainRequest } from 'node:http'
import { createServer as createTlsServer, request as tlsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { clientSecretBasic, memoryOnceStore, resourceServer, scope } from 'oauth-resource-server'
import { createTestIssuer } from 'oauth-resource-server/testing'

const [framework, mistake] = process.argv.slice(2)
const RESOURCE = 'https://api.example.com'
// On a busy machine the default limits could cause a 503 instead of the answer that is shown.
const PATIENT = { timeout: 30, deadline: 60 }

const as = await createTestIssuer()
await as.listen()
// The issuer's default audience.
as.options({ resource: RESOURCE })

/** Applies protections to `/orders`, one after the other. */
const GUARDS = [[resourceServer({ resource: RESOURCE, issuers: [as.issuer], http: PATIENT }), scope('orders:read')]]

const SERVERS = {
  express: async ({ guards = GUARDS, parsesFirst = false, handlesErrors = true }) => {
    const { default: express } = await import('express')
    const { errorHandler, protect, protectedResourceMetadata } = await import('oauth-resource-server/express')
    const app = express()
    app.use(protectedResourceMetadata(guards[0][0]))
    if (parsesFirst) app.use(express.json())
    app.all('/orders', ...guards.map((guard) => protect(...guard)), (_, response) => response.json([]))
    if (handlesErrors) app.use(errorHandler())
    return app.listen(0, '127.0.0.1')
  },
  koa: async ({ guards = GUARDS, parsesFirst = false, handlesErrors = true }) => {
    const { default: Koa } = await import('koa')
    const { default: Router } = await import('@koa/router')
    const { errorHandler, protect, protectedResourceMetadata } = await import('oauth-resource-server/koa')
    const app = new Koa()
    const router = new Router()
    if (handlesErrors) app.use(errorHandler())
    app.use(protectedResourceMetadata(guards[0][0]))
    const { default: express } = await import('express')
    const parse = express.json()
    if (parsesFirst)
      app.use(async ({ req, res }, next) => {
        await new Promise((resolve, reject) => parse(req, res, (error) => (error ? reject(error) : resolve())))
        return next()
      })
    router.all('/orders', ...guards.map((guard) => protect(...guard)), (context) => {
      context.body = []
    })
    return app.use(router.routes()).listen(0, '127.0.0.1')
  },
  fastify: async ({ guards = GUARDS, parsesFirst = false, handlesErrors = true }) => {
    const { default: Fastify } = await import('fastify')
    const { errorHandler, protect, protectedResourceMetadata } = await import('oauth-resource-server/fastify')
    const app = Fastify()
    if (handlesErrors) app.setErrorHandler(errorHandler)
    await app.register(protectedResourceMetadata(guards[0][0]))
    const hooks = guards.map((guard) => protect(...guard))
    app.route({
      method: ['GET', 'POST'],
      url: '/orders',
      [parsesFirst ? 'preHandler' : 'onRequest']: hooks,
      handler: async () => []
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app.server
  }
}

const opened = []

/** Starts the framework's app. @returns its origin */
async function start(app = {}) {
  const server = await SERVERS[framework](app)
  return originOf(server)
}

async function originOf(server, scheme = 'http') {
  opened.push(server)
  if (!server.listening) await once(server, 'listening')
  return `${scheme}://127.0.0.1:${server.address().port}`
}

/**
 * A proxy that ends TLS if it has a key, and changes the path.
 *
 * @param originOfApp the app knows its own public URL, so it starts after the proxy
 * @returns its origin
 */
async function startProxy(originOfApp, { change = (path) => path, ...tls }) {
  const forward = (incoming, outgoing) => {
    const to = new URL(originOfApp() + change(incoming.url))
    const sent = plainRequest(to, { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(sent)
  }
  const server = tls.key ? createTlsServer(tls, forward) : createPlainServer(forward)
  return originOf(server.listen(0, '127.0.0.1'), tls.key ? 'https' : 'http')
}

const statuses = []

async function ask(url, headers = {}, { method = 'GET', body } = {}) {
  const send = url.startsWith('https:') ? tlsRequest : plainRequest
  // The proxy's certificate is self-signed.
  const options = { method, headers: { 'x-unread': 'SECRET', ...headers }, rejectUnauthorized: false }
  const sent = send(url, options).end(body)
  const [answer] = await once(sent, 'response')
  await text(answer)
  statuses.push(answer.statusCode)
}

let secrets = 0
const secret = (name) => `SECRET-${name}-${secrets++}`
const claims = (more = {}) => ({
  sub: secret('sub'),
  client_id: secret('client'),
  jti: secret('jti'),
  scope: 'orders:read',
  ...more
})
const bearer = (token) => ({ authorization: `Bearer ${token}` })

/** Asks for the orders with this token. */
async function askWith(token, app) {
  await ask(`${await start(app)}/orders`, bearer(token))
}

/** An API as README writes it, and its report at the start. */
async function started(options) {
  const api = resourceServer({ resource: RESOURCE, http: PATIENT, ...options })
  await api.ready().catch((error) => console.error(error.message))
  return { guards: [[api, scope('orders:read')]] }
}

/** Each mistake, and the request that shows it. */
const MISTAKES = {
  'final slash': async () => askWith(as.token(claims()), await started({ issuers: [`${as.issuer}/`] })),
  'http issuer': async () => started({ issuers: ['http://as.example.com'] }),
  'no audience': async () => askWith(as.token(claims({ aud: undefined }))),
  'other audience': async () => askWith(as.token(claims({ aud: secret('aud') }))),
  'ID token': async () => askWith(as.wrongType(claims({ nonce: secret('nonce') }))),
  expired: async () => askWith(as.expired(claims())),
  'clock behind': async () => {
    as.advance(300)
    await askWith(as.token(claims()))
  },
  'keys unreachable': async () => {
    as.fail('jwks', 'reset')
    await askWith(as.token(claims()))
  },
  // The authorization server answers a wrong secret with 401 (RFC 7662 §2.3).
  'client secret': async () => {
    as.fail('introspection', 401)
    const introspection = { clientId: 'api', auth: clientSecretBasic('SECRET') }
    await askWith(as.opaque(claims()), await started({ issuers: [{ issuer: as.issuer, introspection }] }))
  },
  'misspelt scope': async () => {
    const api = resourceServer({ resource: RESOURCE, issuers: [as.issuer], http: PATIENT })
    await askWith(as.token(claims()), { guards: [[api, scope('order:read')]] })
  },
  'after the body parser': async () => {
    const origin = await start({ parsesFirst: true })
    const body = JSON.stringify({ name: secret('body') })
    await ask(`${origin}/orders`, { 'content-type': 'application/json' }, { method: 'POST', body })
  },
  'no errorHandler': async () => ask(`${await start({ handlesErrors: false })}/orders`),
  'two middlewares': async () => {
    const options = {
      resource: RESOURCE,
      issuers: [as.issuer],
      http: PATIENT,
      dpop: { replayStore: memoryOnceStore() }
    }
    const [outer, inner] = [resourceServer(options), resourceServer(options)]
    const origin = await start({ guards: [[outer], [inner, scope('orders:read')]] })
    await ask(`${origin}/orders`, as.dpop({ url: `${RESOURCE}/orders`, claims: claims() }))
    // With one API, the second middleware checks only its own requirements.
    const correct = await start({ guards: [[outer], [outer, scope('orders:read')]] })
    await ask(`${correct}/orders`, as.dpop({ url: `${RESOURCE}/orders`, claims: claims() }))
  },
  'prefix cut': async () => {
    let app
    const proxy = await startProxy(() => app, { change: (path) => path.replace(/^\/v1/, '') })
    const api = resourceServer({ resource: `${proxy}/v1`, issuers: [as.issuer], http: PATIENT })
    app = await start({ guards: [[api, scope('orders:read')]] })
    await ask(`${proxy}/v1/orders`, as.dpop({ url: `${proxy}/v1/orders`, claims: claims({ aud: `${proxy}/v1` }) }))
  },
  'TLS ended': async () => {
    let app
    const { certificate } = as.certificateBound(claims())
    const proxy = await startProxy(() => app, { key: certificate.key, cert: certificate.cert })
    const resource = proxy.replace('https:', 'http:')
    const api = resourceServer({ resource, issuers: [as.issuer], http: PATIENT })
    app = await start({ guards: [[api, scope('orders:read')]] })
    await ask(`${proxy}/orders`, as.dpop({ url: `${proxy}/orders`, claims: claims({ aud: resource }) }))
  }
}

await MISTAKES[mistake]()
console.log(`\n${JSON.stringify({ statuses })}`)
for (const server of opened) {
  server.close()
  server.closeAllConnections()
}
await as.close()
