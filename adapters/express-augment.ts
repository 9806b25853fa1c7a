/**
 * Opt-in: `import 'oauth-resource-server/express/augment'` types `req.auth` in the whole program. Omit it if another
 * package (the MCP SDK, express-oauth2-jwt-bearer) does the same: two declarations collide.
 */
import type { Access } from '../src/index.js'

declare global {
  namespace Express {
    interface Request {
      /**
       * Set by `protect` of oauth-resource-server. Undefined on unprotected routes, and where a waiver accepted the
       * request.
       */
      auth?: Access | undefined
    }
  }
}
