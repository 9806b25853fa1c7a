/**
 * OpenAPI 3.1 (`securitySchemes`, `security`) from the very requirements that routes are protected with, so that the
 * document says what is enforced. In Fastify by itself, elsewhere by a function beside the route.
 *
 * Roles are not scopes, which a client could ask for: they stand apart, in the extension `x-required-roles`.
 *
 * Does NOT describe what OpenAPI has no words for: checks of your own, authentication levels, bound tokens.
 */
import { optional, type Requirement, type ResourceServer } from '../src/index.js'

/** Scopes by the name of the scheme; several objects are alternatives (OpenAPI 3.1 §4.8.30). */
export type SecurityRequirement = Readonly<Record<string, readonly string[]>>

/** What the scheme says beside the scopes. */
export interface SecuritySchemeOptions {
  /** Name of the scheme, as in `security`. Default `oauth`. */
  readonly name?: string
  /** `authorization_endpoint` of the authorization server: a page can offer to sign in. Default: a plain Bearer scheme. */
  readonly authorizationUrl?: string
  /** `token_endpoint` of the authorization server. */
  readonly tokenUrl?: string
  /** What each scope means. Default: nothing is said. */
  readonly scopes?: Readonly<Record<string, string>>
}

const NAME = 'oauth'
/** Alternatives of one route: beyond that a document would be of no use to anybody. */
const MAX_ALTERNATIVES = 32

/**
 * `components.securitySchemes`: OAuth 2.0 with the authorization code, where its two endpoints are given; else HTTP Bearer,
 * for which OpenAPI 3.1 allows the scopes to be named as well. The scopes are those of the routes protected so far.
 */
export function securitySchemes(
  api: ResourceServer<never>,
  { name = NAME, authorizationUrl, tokenUrl, scopes = {} }: SecuritySchemeOptions = {}
): Readonly<Record<string, object>> {
  const known = (api.metadata?.document()['scopes_supported'] as readonly string[] | undefined) ?? Object.keys(scopes)
  if (authorizationUrl === undefined || tokenUrl === undefined)
    return { [name]: { type: 'http', scheme: 'bearer', description: `An access token for ${api.resource}` } }
  const described = Object.fromEntries(known.map((scope) => [scope, scopes[scope] ?? '']))
  const flows = { authorizationCode: { authorizationUrl, tokenUrl, scopes: described } }
  return { [name]: { type: 'oauth2', description: `An access token for ${api.resource}`, flows } }
}

/**
 * `security` of an operation that is protected with these requirements: what `protect(api, ...requirements)` is given.
 *
 * @param name of the scheme. Default `oauth`
 * @returns one object that needs all scopes; several where any of some will do; `{}` among them for `optional`
 * @throws {TypeError} more than 32 alternatives
 */
export function securityOf(
  requirements: readonly Requirement<string>[],
  name: string = NAME
): readonly SecurityRequirement[] {
  let alternatives: readonly (readonly string[])[] = [[]]
  for (const requirement of requirements) {
    if (typeof requirement !== 'function' || requirement.scopes === undefined) continue
    const { scopes, mode = 'all' } = requirement
    const choices = mode === 'all' ? [scopes] : scopes.map((scope) => [scope])
    alternatives = alternatives.flatMap((one) => choices.map((choice) => [...new Set([...one, ...choice])]))
    if (alternatives.length > MAX_ALTERNATIVES)
      throw new TypeError(`more than ${MAX_ALTERNATIVES} alternatives for one route`)
  }
  const security = alternatives.map((scopes) => ({ [name]: scopes }))
  return requirements.includes(optional) ? [...security, {}] : security
}

/** What an operation has beside `security`, where it needs roles: every role of `allOf`, and of each list of `anyOf` at least one. */
export interface RequiredRoles {
  readonly 'x-required-roles'?: {
    readonly allOf?: readonly string[]
    readonly anyOf?: readonly (readonly string[])[]
  }
}

/**
 * `x-required-roles` of an operation that is protected with these requirements, to be spread into it beside `security`.
 *
 * @returns an object without members where no role is required
 */
export function requiredRolesOf(requirements: readonly Requirement[]): RequiredRoles {
  const allOf = new Set<string>()
  const anyOf: (readonly string[])[] = []
  for (const requirement of requirements) {
    if (typeof requirement !== 'function' || requirement.roles === undefined) continue
    if (requirement.mode === 'any') anyOf.push(requirement.roles)
    else for (const one of requirement.roles) allOf.add(one)
  }
  if (allOf.size === 0 && anyOf.length === 0) return {}
  return {
    'x-required-roles': { ...(allOf.size > 0 && { allOf: [...allOf] }), ...(anyOf.length > 0 && { anyOf }) }
  }
}

/** The part of a Fastify instance that is used. */
export interface FastifyRoutes {
  addHook(name: 'onRoute', hook: (route: { config?: object | undefined; schema?: object | undefined }) => void): unknown
}

/**
 * Gives each Fastify route the `security` and the `x-required-roles` of its `config.auth`, for `@fastify/swagger`. Call it before the routes are
 * declared, with the same `protect` as the plugin. A route whose schema has a `security` keeps it.
 */
export function documentSecurity(
  app: FastifyRoutes,
  { protect: which = 'declared', name }: { readonly protect?: 'declared' | 'all'; readonly name?: string } = {}
): void {
  app.addHook('onRoute', (route) => {
    const config = (route.config ?? {}) as {
      readonly auth?: boolean | Requirement<string> | readonly Requirement<string>[]
    }
    const auth = 'auth' in config ? config.auth : which === 'all'
    if (route.schema && 'security' in route.schema) return
    const requirements = typeof auth === 'object' || typeof auth === 'function' ? [auth].flat() : []
    // Without one an operation would have that of the whole document.
    const security =
      auth === false || auth === undefined ? [] : securityOf(requirements as readonly Requirement<string>[], name)
    route.schema = { ...requiredRolesOf(requirements as readonly Requirement[]), ...route.schema, security }
  })
}
