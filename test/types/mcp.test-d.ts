/** Beside the MCP SDK, which declares `req.auth` of its own on Express requests: neither breaks the other. */

import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import type { AuthInfo } from '@modelcontextprotocol/sdk/server/auth/types.js'
import express from 'express'
import { expectTypeOf } from 'vitest'
import { getAuth, protect, protectedResourceMetadata } from '../../adapters/express.js'
import { type Access, resourceServer } from '../../src/index.js'

const api = resourceServer({ resource: 'https://mcp.example.com', issuers: ['https://as.example.com'] })
const app = express()
app.use(protectedResourceMetadata(api))
app.use('/theirs', requireBearerAuth({ verifier: { verifyAccessToken: async () => ({}) as AuthInfo } }))
app.post('/mcp/:id', protect(api), (req, res) => {
  expectTypeOf(req.auth).toEqualTypeOf<AuthInfo | undefined>()
  expectTypeOf(getAuth(req)).toEqualTypeOf<Access>()
  expectTypeOf(req.params.id).toEqualTypeOf<string>()
  res.end()
})
