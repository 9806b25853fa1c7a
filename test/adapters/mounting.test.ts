/** What adapters find out about an application that mounts the protection wrongly, on real servers. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express5 from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { errorHandler, protect } from '../../adapters/express.js'
import * as forFastify from '../../adapters/fastify.js'
import { type ResourceServer, resourceServer } from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { endQuiet } from '../support/quiet.js'
import { silenceWarnings, warningsOf } from '../support/warnings.js'

silenceWarnings()
let as: TestIssuer
beforeAll(async () => {
  endQuiet()
  as = await createTestIssuer()
})

const loud = (): ResourceServer =>
  resourceServer({ ...as.options({ resource: 'https://api.example.com' }), log: undefined } as never)

const closings: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closings.splice(0)) await close()
})

type App = ReturnType<typeof express5>

/** What is said about a request without a token. */
async function saidBy(app: App, init?: RequestInit): Promise<readonly string[]> {
  const server = app.listen(0, '127.0.0.1')
  closings.push(() => server.close())
  await once(server, 'listening')
  return saidAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}/items`, init)
}

async function saidAt(url: string, init?: RequestInit): Promise<readonly string[]> {
  const warned = await warningsOf(async () => {
    const response = await fetch(url, init)
    expect(response.status).toBe(401)
    await response.text()
  })
  return warned.map(({ message }) => message)
}

const BODY = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' }
const NO_HANDLER = expect.stringContaining('The app has no error handler')
const BODY_READ = expect.stringContaining('Mount `protect` before the body parser')

describe.each([
  ['Express 5', express5],
  ['Express 4', express4 as unknown as typeof express5]
])('%s', (_, express) => {
  /** Keeps Express from printing the error, as NODE_ENV=test does. */
  const create = (): App => express().set('env', 'test')

  test('an app without an error handler is told to mount one', async () => {
    const app = create()
    app.use(protect(loud()))
    expect(await saidBy(app)).toEqual([NO_HANDLER])
  })

  test.each<[string, (app: App) => void]>([
    ['of this package', (app) => void app.use(protect(loud()), errorHandler())],
    [
      'of the application, in a router',
      (app) => {
        const router = express.Router()
        router.use(protect(loud()))
        // Express recognises error handlers by their four parameters.
        router.use(((error, _request, response, _next) =>
          response.status(error.status).end()) as express5.ErrorRequestHandler)
        app.use(router)
      }
    ],
    [
      'of the app that this one is mounted on',
      (app) => {
        const inner = create()
        inner.use(protect(loud()))
        app.use(inner)
        app.use(errorHandler())
      }
    ]
  ])('an error handler %s is found, and nothing is said', async (_where, mount) => {
    const app = create()
    mount(app)
    expect(await saidBy(app)).toEqual([])
  })

  test('a body parser before `protect` is said once a body was read; one after it is not', async () => {
    const wrong = create()
    wrong.use(express.json(), protect(loud()), errorHandler())
    expect(await saidBy(wrong)).toEqual([])
    const again = create()
    again.use(express.json(), protect(loud()), errorHandler())
    expect(await saidBy(again, BODY)).toEqual([BODY_READ])
    const right = create()
    right.use(protect(loud()), express.json(), errorHandler())
    expect(await saidBy(right, BODY)).toEqual([])
  })
})

describe('Fastify', () => {
  async function said(
    hook: 'onRequest' | 'preHandler',
    handler?: forFastify.FastifyErrorHandler
  ): Promise<readonly string[]> {
    const app = fastify()
    if (handler) app.setErrorHandler(handler)
    app.route({ method: 'POST', url: '/items', [hook]: forFastify.protect(loud()), handler: async () => '' })
    closings.push(() => app.close())
    return saidAt(`${await app.listen({ port: 0, host: '127.0.0.1' })}/items`, BODY)
  }

  test('the default error handler is told to be replaced; another one is not', async () => {
    expect(await said('onRequest')).toEqual([expect.stringContaining('app.setErrorHandler(errorHandler)')])
    expect(await said('onRequest', forFastify.errorHandler)).toEqual([])
    expect(await said('onRequest', (_error, _request, reply) => void reply.code(401).send())).toEqual([])
  })

  test('`protect` in preHandler is told to move to onRequest', async () => {
    expect(await said('preHandler', forFastify.errorHandler)).toEqual([BODY_READ])
  })
})
