/** The same one-route API on each adapter, each with its own resource server, behind its own socket. */
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import createFastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { Agent } from 'undici'
import * as onExpress from '../../adapters/express.js'
import resourceServerPlugin, * as onFastify from '../../adapters/fastify.js'
import * as onFetch from '../../adapters/fetch.js'
import * as onHono from '../../adapters/hono.js'
import * as onKoa from '../../adapters/koa.js'
import {
  clientSecretBasic,
  type HttpOptions,
  type IssuerOptions,
  type IssuerResolver,
  type ResourceServer,
  resourceServer,
  type SharedOptions,
  scope
} from '../../src/index.js'
import { listen, type Served } from '../adapters/wire.js'
import { API } from '../support/authorization-server.js'
import { type Endpoint, endpointOf, type FaultProxy } from './proxy.js'

export const RESOURCE = 'https://api.example.com'
/** Resource indicators of the same API: opaque tokens, and tokens that live for a second. */
export const OPAQUE = 'https://opaque.example.com'
export const SHORT = 'https://short.example.com'

/** Of every app, for encrypted tokens: RSA, whose private operation costs most. */
export const DECRYPTION_KEY = { kid: 'encryption-1', ...generateKeyPairSync('rsa', { modulusLength: 2048 }) } as const

export type Upstream = Readonly<Record<Endpoint, number>>

export interface App extends Served {
  readonly name: string
  readonly api: ResourceServer
  /** Requests sent to the authorization server so far, retries and refused connections included. */
  readonly upstream: Upstream
}

export interface AppOptions {
  readonly issuer: string
  readonly proxy: FaultProxy
  readonly now: () => number
  readonly http: HttpOptions
  /** The issuer is looked up by a function, which takes this many milliseconds. Default: it is in a list. */
  readonly lookup?: number
  /** What the apps share, of each of them. Default: each keeps to itself. */
  readonly shared?: () => Promise<SharedOptions>
}

type Serve = (api: ResourceServer) => Promise<Served>

const ADAPTERS: Readonly<Record<string, Serve>> = {
  Express: (api) => {
    const app = express()
    app.get('/items', onExpress.protect(api, scope('read')), (_req, res) => void res.json({}))
    app.use(onExpress.errorHandler())
    return listen(app)
  },
  Koa: (api) => {
    const app = new Koa()
    app.use(onKoa.errorHandler())
    app.use(onKoa.protect(api, scope('read')) as Koa.Middleware)
    app.use((ctx) => {
      ctx.body = {}
    })
    return listen(app.callback())
  },
  Fastify: async (api) => {
    const server = createServer()
    const app = createFastify({ serverFactory: (listener) => server.on('request', listener) })
    app.setErrorHandler(onFastify.errorHandler)
    await app.register(resourceServerPlugin, { api })
    app.get('/items', { config: { auth: scope('read') } }, async () => ({}))
    await app.ready()
    return listen((request, response) => void server.emit('request', request, response))
  },
  fetch: (api) => {
    const protect = onFetch.protect(api, scope('read'))
    return listen(
      getRequestListener(async (request) => {
        const decision = await protect(request)
        if (decision instanceof Response) return decision
        return Response.json({}, { headers: decision.responseHeaders as Record<string, string> })
      })
    )
  },
  Hono: (api) => {
    const app = new Hono()
    app.get('/items', onHono.protect(api, scope('read')), (c) => c.json({}))
    return listen(getRequestListener(app.fetch))
  }
}

export function startApps(options: AppOptions): Promise<App[]> {
  return Promise.all(Object.entries(ADAPTERS).map(([name, serve]) => startApp(name, serve, options)))
}

async function startApp(
  name: string,
  serve: Serve,
  { issuer, proxy, now, http, shared, lookup }: AppOptions
): Promise<App> {
  const upstream: Record<Endpoint, number> = { metadata: 0, jwks: 0, introspection: 0 }
  const agent = new Agent({ connect: { ca: proxy.ca } })
  const dispatch = agent.dispatch.bind(agent)
  agent.dispatch = (request, handler) => {
    const endpoint = endpointOf(request.path)
    if (endpoint) upstream[endpoint]++
    return dispatch({ ...request, origin: proxy.origin }, handler)
  }
  const options: IssuerOptions = {
    issuer,
    audience: [RESOURCE, OPAQUE, SHORT],
    introspection: { clientId: API.client_id, auth: clientSecretBasic(API.client_secret) }
  }
  const resolve: IssuerResolver = async (name) => {
    await sleep(lookup)
    return name === issuer || name === undefined ? options : undefined
  }
  const api = resourceServer({
    resource: RESOURCE,
    decryptionKeys: [{ key: DECRYPTION_KEY.privateKey, kid: DECRYPTION_KEY.kid }],
    issuers: lookup === undefined ? [options] : resolve,
    http: { ...http, publicAddressesOnly: false, dispatcher: agent },
    ...(shared && { shared: await shared() }),
    now
  })
  const served = await serve(api)
  return {
    name,
    api,
    upstream,
    port: served.port,
    close: async () => {
      await served.close()
      await api.close()
      await agent.destroy()
    }
  }
}
