/** Express 4 and 5, with their own types: what `protect` returns fits wherever a handler fits, and spoils no inference. */
import express from 'express'
import express4 from 'express4'
import { expectTypeOf } from 'vitest'
import {
  enforce,
  errorHandler,
  getAuth,
  getOptionalAuth,
  protect,
  protectedResourceMetadata
} from '../../adapters/express.js'
import { type Access, optional, resourceServer, scope } from '../../src/index.js'

const api = resourceServer({ resource: 'https://api.example.com', issuers: ['https://as.example.com'] })
const guard = protect(api, scope('read'))

const handler5: express.RequestHandler = guard
const errors5: express.ErrorRequestHandler = errorHandler()
const app5 = express()
app5.use(protectedResourceMetadata(api))
app5.use(guard)
app5.use('/v1', guard, protect(api, optional))
app5.get('/:id', guard, (req, res) => {
  expectTypeOf(req.params.id).toEqualTypeOf<string>()
  expectTypeOf(getAuth(req)).toEqualTypeOf<Access>()
  expectTypeOf(getOptionalAuth(req)).toEqualTypeOf<Access | undefined>()
  // @ts-expect-error a parameter that the path has not
  res.json(req.params.name)
})
express
  .Router()
  .use(guard)
  .get('/:id', guard, (req) => expectTypeOf(req.params.id).toEqualTypeOf<string>())
  .post('/:id', [guard, express.json()])
app5.post('/:id', guard, async (req, res) => {
  expectTypeOf(enforce(api, req, scope('read'))).toEqualTypeOf<Promise<void>>()
  // @ts-expect-error a waiver is no check
  await enforce(api, req, optional)
  res.end()
})
app5.route('/:id').all(guard).get(guard, handler5)
app5.use(errorHandler())
app5.use(errors5)

const handler4: express4.RequestHandler = guard
const errors4: express4.ErrorRequestHandler = errorHandler()
const app4 = express4()
app4.use(protectedResourceMetadata(api))
app4.use(guard)
app4.use('/v1', guard, protect(api, optional))
app4.get('/:id', guard, (req, res) => {
  expectTypeOf(req.params.id).toEqualTypeOf<string>()
  expectTypeOf(getAuth(req)).toEqualTypeOf<Access>()
  // @ts-expect-error a parameter that the path has not
  res.json(req.params.name)
})
express4
  .Router()
  .use(guard)
  .get('/:id', guard, (req) => expectTypeOf(req.params.id).toEqualTypeOf<string>())
app4.get('/', handler4)
app4.post('/', guard, (req, res, next) => void enforce(api, req, scope('read')).then(() => res.end(), next))
app4.use(errorHandler())
app4.use(errors4)

// @ts-expect-error a scope's name alone is no requirement
protect(api, 'read')
