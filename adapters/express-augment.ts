/**
 * Opt-in: `import 'oauth-resource-server/express/augment'` types `req.auth` in the whole program. Leave it out where
 * another package (the MCP SDK, express-oauth2-jwt-bearer) does the same: two declarations collide.
 */
import type { Access } from '../src/index.js'

declare global {
  namespace Express {
    interface Request {
      /** Set by `protect` of oauth-resource-server; undefined where nothing protects, or a waiver let the request through. */
      auth?: Access | undefined
    }
  }
}
