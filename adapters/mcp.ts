/**
 * For servers of the Model Context Protocol, beside an adapter: what the official SDK's handlers are told of a caller, the
 * scopes of each tool, and a verifier for those who keep the SDK's own `requireBearerAuth`. Typed by shape, for versions 1
 * and 2 of the SDK.
 *
 * ```ts
 * app.use(protectedResourceMetadata(api))
 * app.post('/mcp', protect(api, scope('mcp')), express.json(), async (req, res) => {
 *   await enforce(api, req, ...checksOf(req.body)) // checksOf = toolScopes({ … })
 *   …
 * ```
 *
 * Does NOT parse MCP beyond the name of a tool, and does NOT keep sessions: each request has its token.
 */
import {
  type Access,
  type Check,
  Forbidden,
  isAccess,
  type ResourceRequest,
  type ResourceServer,
  ResourceServerError,
  scope
} from '../src/index.js'

/** The SDK's `AuthInfo`. */
export interface AuthInfo {
  token: string
  /** Empty for a token that names no client, which RFC 9068 does not allow. */
  clientId: string
  scopes: string[]
  /** Seconds since the epoch. */
  expiresAt?: number
  resource?: URL
  resourceMetadataUrl?: string
  /** Here: `subject`, `issuer` and all `claims`. */
  extra?: Record<string, unknown>
}

/**
 * What tools are told of their caller, as `extra.authInfo` or `ctx.http.authInfo`: set it as `req.auth` before the
 * transport handles the request. An {@link Access} is nearly that itself, but frozen, and with a client that may be missing.
 *
 * @throws {TypeError} for what is no access
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

/**
 * The scopes of each tool, those of the endpoint included: a client asks for exactly what a challenge names, and forgets
 * what it had. A tool that is not listed is refused (403, no challenge), so that none is open by oversight.
 *
 * @param tools by name: all the scopes that a call needs; `[]` for what the endpoint asks for anyway
 * @returns for a JSON-RPC message, or several, the checks for `enforce()`: none for what calls no tool. A POST whose body is
 *   no object or array by then is refused: the SDK's transport would read it itself, after the checks
 */
export function toolScopes<const Scope extends string>(
  tools: Readonly<Record<string, readonly Scope[]>>
): (message: unknown) => readonly Check<Scope>[] {
  const known = new Map(Object.entries(tools))
  return (message) => {
    const messages = [message].flat()
    if (!messages.every(isMessage)) return [refuseUnread]
    const called = messages.map(calledTool).filter((name) => name !== undefined)
    if (called.length === 0) return []
    if (called.some((name) => !known.has(name))) return [refuse]
    const needed = [...new Set(called.flatMap((name) => known.get(name) ?? []))]
    return needed.length > 0 ? [scope(...needed)] : []
  }
}

function refuse(): never {
  throw new Forbidden('a tool was called for which no scopes are listed')
}

interface Message {
  readonly method?: unknown
  readonly params?: { readonly name?: unknown }
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null
}

/** What no body parser here read, the SDK's transport would read itself: after the checks, and perhaps another way. */
function refuseUnread(_access: Access, { method }: ResourceRequest): void {
  if (method === 'POST')
    throw new Forbidden('The message was not read as JSON', { expected: 'a body that was parsed before enforce()' })
}

function calledTool({ method, params }: Message): string | undefined {
  if (method !== 'tools/call') return undefined
  return typeof params?.name === 'string' ? params.name : ''
}

/** The SDK's `OAuthTokenVerifier`. */
export interface TokenVerifier {
  verifyAccessToken(token: string): Promise<AuthInfo>
}

/**
 * For the SDK's own `requireBearerAuth({ verifier })`. Prefer `protect`: the SDK's middleware answers an outage with 500
 * where it should be 503, knows no token that is bound to a key (they are refused here), and reads the first of several
 * `Authorization` fields.
 *
 * It is given a token and no request. So the option `checks` of the API is run for a `POST` of `/` with no field but
 * `Authorization`, whatever was asked for: a check that looks at the method, the target or a field decides about that.
 *
 * @param invalidToken makes the SDK's error: version 1 `(message) => new InvalidTokenError(message)`, version 2
 *   `(message) => new OAuthError(OAuthErrorCode.InvalidToken, message)`; any other is a 500 there
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
        // The SDK's middleware knows one error that is not 500; what is no refusal of the token is one here, too.
        if (error instanceof ResourceServerError && error.status < 500) throw invalidToken(error.description)
        throw error
      }
    }
  }
}
