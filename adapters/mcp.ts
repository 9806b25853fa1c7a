/**
 * For servers of the Model Context Protocol, in addition to an adapter: the caller's data for the official SDK's
 * handlers, the scopes of each tool, and a verifier for servers that keep the SDK's own `requireBearerAuth`. Typed by
 * shape, for versions 1 and 2 of the SDK.
 *
 * ```ts
 * app.use(protectedResourceMetadata(api))
 * app.post('/mcp', protect(api, scope('mcp')), express.json(), async (req, res) => {
 *   await enforce(api, req, ...checksOf(req.body)) // checksOf = toolScopes({ … })
 *   …
 * ```
 *
 * Does NOT parse MCP except for tool names. Does NOT keep sessions: each request has its own token.
 */
import { type Access, isAccess, type ResourceServer, ResourceServerError } from '../src/index.js'

export { toolScopes } from './mcp/tool-scopes.js'

/** The SDK's `AuthInfo`. */
export interface AuthInfo {
  token: string
  /** Empty for a token without a client, which RFC 9068 does not allow. */
  clientId: string
  scopes: string[]
  /** Seconds since the epoch. */
  expiresAt?: number
  resource?: URL
  resourceMetadataUrl?: string
  /** Contains `subject`, `issuer` and all `claims`. */
  extra?: Record<string, unknown>
}

/**
 * The caller's data for tools, `extra.authInfo` or `ctx.http.authInfo`: set it as `req.auth` before the transport
 * handles the request. An {@link Access} is similar, but it is frozen and its client may be missing.
 *
 * @throws {TypeError} a value that is not an access
 */
export function authInfo(api: ResourceServer<never>, access: Access): AuthInfo {
  if (!isAccess(access)) throw new TypeError('authInfo() needs the access that `protect` granted')
  const { token, clientId = '', scopes, expiresAt, subject, issuer, claims } = access
  return {
    token,
    clientId,
    scopes: [...scopes],
    ...(expiresAt !== undefined && { expiresAt }),
    resource: new URL(api.resource),
    ...(api.metadata && { resourceMetadataUrl: api.metadata.url }),
    extra: { subject, issuer, claims }
  }
}

/** The SDK's `OAuthTokenVerifier`. */
export interface TokenVerifier {
  verifyAccessToken(token: string): Promise<AuthInfo>
}

/**
 * For the SDK's own `requireBearerAuth({ verifier })`. Prefer `protect`: the SDK's middleware answers an outage with
 * 500, not 503, does not support bound tokens (they are refused here), and reads the first of several `Authorization`
 * fields.
 *
 * The verifier gets a token without a request. So the option `checks` of the API runs with a `POST` of `/` that has
 * only the field `Authorization`. A check that reads method, target or fields sees that request, not the real one.
 *
 * @param invalidToken creates the SDK's error: version 1 `(message) => new InvalidTokenError(message)`, version 2
 * `(message) => new OAuthError(OAuthErrorCode.InvalidToken, message)`; the SDK answers any other error with 500
 */
export function tokenVerifier(api: ResourceServer<never>, invalidToken: (message: string) => Error): TokenVerifier {
  return {
    verifyAccessToken: async (token) => {
      const request = {
        method: 'POST',
        url: '/',
        fieldLines: (name: string) => (name === 'authorization' ? [`Bearer ${token}`] : [])
      }
      try {
        return authInfo(api, (await api.authorize(request)) as Access)
      } catch (error) {
        // The SDK's middleware maps only this error to 401. Refusals for other reasons are mapped to it too, because
        // anything else is a 500.
        if (error instanceof ResourceServerError && error.status < 500) throw invalidToken(error.description)
        throw error
      }
    }
  }
}
