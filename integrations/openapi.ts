/**
 * Generates OpenAPI 3.1 (`securitySchemes`, `security`) from the same requirements that protect the routes, so that the
 * document matches the enforcement. Automatic in Fastify; elsewhere call a function for each route.
 *
 * Roles are separate from scopes, because clients cannot request them: they appear in the extension `x-required-roles`.
 *
 * Does NOT describe requirements without an OpenAPI equivalent: your own checks, authentication levels, bound tokens.
 */
import { requireOptions } from '../src/base/options/spelling.js'
import { optional, type Requirement, type ResourceServer } from '../src/index.js'

/** Scopes by scheme name; several objects are alternatives (OpenAPI 3.1 §4.8.30). */
export type SecurityRequirement = Readonly<Record<string, readonly string[]>>

/** Properties of the scheme. */
export interface SecuritySchemeOptions {
  /** Name of the scheme, as used in `security`. Default `oauth`. */
  readonly name?: string
  /**
   * `authorization_endpoint` of the authorization server, so that documentation pages can offer sign-in. Default: a
   * plain Bearer scheme.
   */
  readonly authorizationUrl?: string
  /** `token_endpoint` of the authorization server. Default: a plain Bearer scheme. */
  readonly tokenUrl?: string
  /** Description of each scope. Default: empty descriptions. */
  readonly scopes?: Readonly<Record<string, string>>
}

const NAME = 'oauth'
const EXAMPLES: Readonly<Record<keyof SecuritySchemeOptions, unknown>> = {
  name: NAME,
  authorizationUrl: 'https://as.example.com/authorize',
  tokenUrl: 'https://as.example.com/token',
  scopes: {}
}
/** Maximum alternatives of one route: a longer document would not be readable. */
const MAX_ALTERNATIVES = 32

/**
 * `components.securitySchemes`: OAuth 2.0 with the authorization code if both endpoints are given, otherwise HTTP
 * Bearer, for which OpenAPI 3.1 allows naming scopes too. Lists the scopes of the routes protected so far.
 *
 * @throws {TypeError} for a name that is not an option, or a value of another type
 */
export function securitySchemes(
  api: ResourceServer<never>,
  options: SecuritySchemeOptions = {}
): Readonly<Record<string, object>> {
  requireOptions('securitySchemes()', options, EXAMPLES)
  const { name = NAME, authorizationUrl, tokenUrl, scopes = {} } = options
  const known = (api.metadata?.document()['scopes_supported'] as readonly string[] | undefined) ?? Object.keys(scopes)
  if (authorizationUrl === undefined || tokenUrl === undefined)
    return { [name]: { type: 'http', scheme: 'bearer', description: `An access token for ${api.resource}` } }
  const described = Object.fromEntries(known.map((scope) => [scope, scopes[scope] ?? '']))
  const flows = { authorizationCode: { authorizationUrl, tokenUrl, scopes: described } }
  return { [name]: { type: 'oauth2', description: `An access token for ${api.resource}`, flows } }
}

/**
 * `security` of an operation with these requirements, the same as in `protect(api, ...requirements)`.
 *
 * @param name of the scheme. Default `oauth`
 * @returns one object if all scopes are needed; several for alternatives; with `{}` among them for `optional`
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

/** Roles that an operation needs besides `security`: every role of `allOf`, and at least one of each list in `anyOf`. */
export interface RequiredRoles {
  readonly 'x-required-roles'?: {
    readonly allOf?: readonly string[]
    readonly anyOf?: readonly (readonly string[])[]
  }
}

/**
 * `x-required-roles` of an operation with these requirements; spread it into the operation beside `security`.
 *
 * @returns an object without members if no role is required
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

/** The used part of a Fastify instance. */
export interface FastifyRoutes {
  addHook(name: 'onRoute', hook: (route: { config?: object | undefined; schema?: object | undefined }) => void): unknown
}

/**
 * Adds `security` and `x-required-roles` to each Fastify route, from its `config.auth`, for `@fastify/swagger`. Call it
 * before the routes are declared, with the same `protect` as the plugin. A route whose schema has a `security` keeps
 * it.
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
    // Without `security`, an operation would inherit the whole document's.
    const security =
      auth === false || auth === undefined ? [] : securityOf(requirements as readonly Requirement<string>[], name)
    route.schema = { ...requiredRolesOf(requirements as readonly Requirement[]), ...route.schema, security }
  })
}
