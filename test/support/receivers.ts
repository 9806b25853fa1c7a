/**
 * A receiver of pushed events behind each framework, before and after its body parsers, on a real socket.
 */
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import express4 from 'express4'
import fastify, { type FastifyInstance } from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import Koa2 from 'koa2'
import * as onExpress from '../../adapters/express.js'
import * as onFastify from '../../adapters/fastify.js'
import * as onFetch from '../../adapters/fetch.js'
import * as onHono from '../../adapters/hono.js'
import * as onKoa from '../../adapters/koa.js'
import type { Receiver, ResourceServer } from '../../src/index.js'
import { listen, type Served } from '../adapters/wire.js'

export const PATH = '/events'

type Feed = 'securityEvents' | 'backchannelLogout'
type Mount = (receiver: Receiver, feed: Feed, api: ResourceServer) => Promise<Served>

const expressFeeds = { securityEvents: onExpress.securityEvents, backchannelLogout: onExpress.backchannelLogout }
const fastifyFeeds = { securityEvents: onFastify.securityEvents, backchannelLogout: onFastify.backchannelLogout }
const fetchFeeds = { securityEvents: onFetch.securityEvents, backchannelLogout: onFetch.backchannelLogout }
const honoFeeds = { securityEvents: onHono.securityEvents, backchannelLogout: onHono.backchannelLogout }
const koaFeeds = { securityEvents: onKoa.securityEvents, backchannelLogout: onKoa.backchannelLogout }

function inExpress(framework: typeof express, ...before: readonly express.RequestHandler[]): Mount {
  return (receiver, feed) => {
    const app = framework()
    for (const handler of before) app.use(handler)
    app.use(PATH, expressFeeds[feed](receiver))
    return listen(app)
  }
}

function inKoa(Framework: typeof Koa, before: Koa.Middleware = (_context, next) => next()): Mount {
  return (receiver, feed) => {
    const app = new Framework()
    app.use(before)
    app.use(koaFeeds[feed](receiver) as Koa.Middleware)
    return listen(app.callback())
  }
}

/** As koa-bodyparser and koa-body do. */
const koaParser: Koa.Middleware = async (context, next) => {
  const chunks: Buffer[] = []
  for await (const chunk of context.req) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const isForm = context.is('urlencoded')
  Object.assign(context.request, { body: isForm ? Object.fromEntries(new URLSearchParams(text)) : text })
  return next()
}

function inFastify(prepare: (app: FastifyInstance, api: ResourceServer) => Promise<unknown>): Mount {
  return async (receiver, feed, api) => {
    const app: FastifyInstance = fastify()
    await prepare(app, api)
    await app.register(fastifyFeeds[feed](receiver), { prefix: PATH })
    await app.ready()
    return listen((request, response) => app.routing(request, response))
  }
}

function inHono(
  read?: (request: { text(): Promise<string>; parseBody(): Promise<unknown> }) => Promise<unknown>
): Mount {
  return (receiver, feed) => {
    const app = new Hono()
    if (read)
      app.use(async ({ req }, next) => {
        await read(req)
        return next()
      })
    app.all(PATH, honoFeeds[feed](receiver))
    return listen(getRequestListener(app.fetch))
  }
}

const isForm = (type: string | undefined): boolean => type?.includes('urlencoded') ?? false

/** Every way to mount a receiver: what it is called, and what it is. */
export const MOUNTS: readonly (readonly [string, Mount])[] = [
  ['Express 5', inExpress(express)],
  [
    'Express 5 after body parsers',
    inExpress(express, express.json(), express.urlencoded(), express.text({ type: 'application/secevent+jwt' }))
  ],
  ['Express 5 after a parser of bytes', inExpress(express, express.raw({ type: () => true }))],
  ['Express 4', inExpress(express4 as unknown as typeof express)],
  [
    'Express 4 after body parsers',
    inExpress(express4 as unknown as typeof express, express4.json(), express4.urlencoded({ extended: true }))
  ],
  ['Koa 3', inKoa(Koa)],
  ['Koa 3 after a body parser', inKoa(Koa, koaParser)],
  ['Koa 2', inKoa(Koa2 as unknown as typeof Koa)],
  ['Fastify', inFastify(async () => undefined)],
  [
    'Fastify with parsers, where all is protected',
    inFastify(async (app, api) => {
      app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, { parsed: true }))
      await app.register(onFastify.fastifyResourceServer, { api, protect: 'all' })
    })
  ],
  ['fetch', (receiver, feed) => listen(getRequestListener(fetchFeeds[feed](receiver)))],
  ['Hono', inHono()],
  [
    'Hono after the body was read',
    inHono((request) =>
      isForm((request as unknown as { header(name: string): string | undefined }).header('content-type'))
        ? request.parseBody()
        : request.text()
    )
  ]
]
