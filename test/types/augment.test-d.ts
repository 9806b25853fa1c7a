/** The opt-in types of `req.auth`. A program of its own, because they are for the whole program. */
import '../../adapters/express-augment.js'
import express from 'express'
import { expectTypeOf } from 'vitest'
import { getAuth, protect } from '../../adapters/express.js'
import { type Access, resourceServer } from '../../src/index.js'

const api = resourceServer({ resource: 'https://api.example.com', issuers: ['https://as.example.com'] })
express().get('/:id', protect(api), (req, res) => {
  expectTypeOf(req.auth).toEqualTypeOf<Access | undefined>()
  expectTypeOf(getAuth(req)).toEqualTypeOf<Access>()
  expectTypeOf(req.params.id).toEqualTypeOf<string>()
  res.json(req.auth?.subject)
})
