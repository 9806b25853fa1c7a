// @ts-check
import { initTRPC, TRPCError } from '@trpc/server'
import { createHTTPServer } from '@trpc/server/adapters/standalone'
import { ResourceServerError, resourceServer, scope } from 'oauth-resource-server'
import { NodeRequest, protectedResourceMetadata } from 'oauth-resource-server/node'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

// #region trpc
const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const anyToken = api.protect()
const metadata = protectedResourceMetadata(api)

/** For each HTTP request, which may be a batch: its token is verified once, when the first procedure needs it. */
function createContext(/** @type {{ req: import('node:http').IncomingMessage }} */ { req }) {
  const request = new NodeRequest(req)
  /** @type {Promise<Access> | undefined} */
  let access
  return {
    request,
    authenticate: () => {
      access ??= Promise.resolve().then(() => anyToken.authorize(request))
      return access
    }
  }
}
const t = /** @type {TRPC} */ (initTRPC.context()).create()
const CODES = /** @type {const} */ ({
  400: 'BAD_REQUEST',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  503: 'SERVICE_UNAVAILABLE'
})

/** A procedure that needs a valid token and meets these requirements: `needs(scope('orders:read'))`. */
function needs(/** @type {import('oauth-resource-server').Requirement[]} */ ...requirements) {
  const rule = api.protect(...requirements)
  return t.procedure.use(async ({ ctx, next }) => {
    /** @type {Access} */
    let access
    try {
      access = /** @type {Access} */ (await rule.authorize(ctx.request, await ctx.authenticate()))
    } catch (error) {
      if (!(error instanceof ResourceServerError)) throw error
      const code = CODES[/** @type {keyof typeof CODES} */ (error.status)] ?? 'INTERNAL_SERVER_ERROR'
      throw new TRPCError({ code, message: error.message, cause: error })
    }
    return next({ ctx: { ...ctx, access } })
  })
}

const router = t.router({
  orders: needs(scope('orders:read')).query(({ ctx }) => ({ orders: [], subject: ctx.access.subject })),
  me: needs().query(({ ctx }) => ctx.access.subject),
  health: t.procedure.query(() => api.health().status)
})

const server = createHTTPServer({
  router,
  createContext,
  // The status comes from the code; the challenge from the refusal.
  responseMeta: ({ errors }) => {
    const refusal = errors.map(({ cause }) => cause).find((cause) => cause instanceof ResourceServerError)
    const fields = Object.entries(refusal?.headers ?? {}).map(([name, value]) => [name, String(value)])
    return { headers: Object.fromEntries(fields) }
  },
  middleware: (req, res, next) => {
    if (!metadata(req, res)) next()
  }
})
// #endregion

server.listen(Number(PORT), () => console.log(`tRPC: http://localhost:${PORT}/orders`))
process.once('SIGTERM', () => server.close(() => api.close()))

/** @typedef {import('oauth-resource-server').Access} Access */
/** @typedef {ReturnType<typeof initTRPC.context<ReturnType<typeof createContext>>>} TRPC */
