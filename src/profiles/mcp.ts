/**
 * The preset `mcp()`: the requirements of the Model Context Protocol's authorization specification for a server.
 *
 * Tests: `test/rfc/mcp.test.ts`.
 */
import { emitWarning } from 'node:process'
import { Problems } from '../base/options/problems.js'
import { InvalidToken } from '../errors/errors.js'
import type { IssuerOptions } from '../issuer/settings.js'
import type { ResourceServerOptions } from '../server/options.js'
import type { Check } from '../types.js'

/**
 * Model Context Protocol, authorization (revision 2026-07-28), for an MCP server as a resource server.
 *
 * - `issuers` must be a list, since the metadata must name at least one, and `metadata` may not be `false`.
 * - Tokens must be for this server: no `audience: null`, and no `introspection.allowMissingAudience`.
 * - Where the path of an audience is empty, both `https://host` and `https://host/` are accepted (RFC 3986 §6.2.3).
 * - `offline_access` is removed from `scopes` and `metadata.scopes_supported`, with a process warning
 *   (`OAUTH_RS_MCP_SCOPE`): it concerns only client and authorization server.
 * - A `resource` that is not canonical (upper case in scheme or host, a trailing slash) is unchanged, with a process
 *   warning (`OAUTH_RS_MCP_RESOURCE`): clients derive it from the URL they call, and tokens must match it exactly.
 * - `legacyClients: true`, if you set it, also supports clients of the revision 2025-03-26: see the option.
 * - With `dpop`, a proof may be 300 s old, as the DPoP extension allows, unless you set `dpop.proofLifetime`.
 * - A check refuses (401) introspected tokens without `exp`: the MCP SDK rejects an `AuthInfo` without `expiresAt`.
 *
 * Does NOT forward tokens. Needs no option for behaviour that is always on: challenges name scopes and metadata, and
 * tokens in the query are not read.
 *
 * @throws {TypeError} listing every contradiction
 */
export function mcp<const Scope extends string = string, const Role extends string = string>(
  options: ResourceServerOptions<Scope, Role>
): ResourceServerOptions<Scope, Role> {
  const problems = new Problems('mcp()')
  if (!problems.object(options, 'options')) throw problems.error()
  const { issuers, metadata, resource, scopes, checks = [], dpop } = options as ResourceServerOptions<Scope, Role>
  if (!Array.isArray(issuers) || issuers.length === 0)
    problems.add(
      'issuers',
      'must be a list of at least one issuer',
      'name the authorization servers: the metadata must list one'
    )
  else for (const [i, one] of issuers.entries()) requireAudience(one, `issuers[${i}]`, problems)
  if (metadata === false) problems.add('metadata', 'is false', 'clients need it to find the authorization server')
  const members = metadata === false ? {} : (metadata ?? {})
  if (Array.isArray(members['authorization_servers']) && members['authorization_servers'].length === 0)
    problems.add('metadata.authorization_servers', 'is empty', 'name at least one, or leave it out')
  if (problems.any) throw problems.error()
  warnAboutResource(resource)
  const list = issuers as readonly (string | IssuerOptions)[]
  const supported = members['scopes_supported']
  return {
    ...(options as ResourceServerOptions<Scope, Role>),
    issuers: list.map((one) => withBothAudiences(one, resource)),
    ...(scopes && { scopes: withoutOfflineAccess(scopes, 'scopes') }),
    ...(Array.isArray(supported) && {
      metadata: { ...members, scopes_supported: withoutOfflineAccess(supported, 'metadata.scopes_supported') }
    }),
    ...(dpop && { dpop: { proofLifetime: MCP_PROOF_LIFETIME, ...dpop } }),
    checks: [requireExpiry, ...checks]
  }
}

/**
 * For identifiers with an empty path, accepts both spellings, with and without the trailing slash: they are the same
 * URI (RFC 3986 §6.2.3). Other identifiers are unchanged.
 */
function withBothAudiences(entry: string | IssuerOptions, resource: string): string | IssuerOptions {
  const given = typeof entry === 'string' ? resource : (entry?.audience ?? resource)
  const audience = [given].flat().flatMap((one) => {
    const [, origin] = /^(https?:\/\/[^/?#]+)\/?$/i.exec(String(one)) ?? []
    return origin === undefined ? [one] : [origin, `${origin}/`]
  })
  if (audience.length === [given].flat().length) return entry
  return { ...(typeof entry === 'string' ? { issuer: entry } : entry), audience: [...new Set(audience)] as string[] }
}

/** An entry that is a text has the audience `resource`. `resourceServer()` rejects other values that are not objects. */
function requireAudience(entry: string | IssuerOptions, path: string, problems: Problems): void {
  if (typeof entry === 'string') return
  if (entry?.audience === null)
    problems.add(`${path}.audience`, 'is null', 'only tokens for this server may be accepted: name it')
  if (entry?.introspection?.allowMissingAudience === true)
    problems.add(`${path}.introspection.allowMissingAudience`, 'is true', 'only tokens for this server may be accepted')
}

/** Default maximum age of a DPoP proof, in seconds. */
const MCP_PROOF_LIFETIME = 300

const requireExpiry: Check = ({ expiresAt }) => {
  if (expiresAt === undefined) throw new InvalidToken('claim', { expected: 'exp, in the introspection answer' })
}

function warnAboutResource(resource: unknown): void {
  if (typeof resource !== 'string') return // `resourceServer()` reports it.
  const [, origin = ''] = /^([^/]*\/\/[^/?#]*)/.exec(resource) ?? []
  const oddity =
    origin !== origin.toLowerCase()
      ? 'has upper case in its scheme or host'
      : resource.endsWith('/')
        ? 'ends with /'
        : ''
  if (oddity !== '')
    emitWarning(`mcp(): \`resource\` ${oddity}, unlike the canonical URI of an MCP server: write it without`, {
      code: 'OAUTH_RS_MCP_RESOURCE'
    })
}

function withoutOfflineAccess<T>(scopes: readonly T[], option: string): readonly T[] {
  const others = scopes.filter((one) => one !== 'offline_access')
  if (others.length < scopes.length)
    emitWarning(`mcp(): \`offline_access\` was removed from \`${option}\`: a resource server must not request it`, {
      code: 'OAUTH_RS_MCP_SCOPE'
    })
  return others
}
