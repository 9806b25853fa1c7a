/**
 * Reads options into frozen settings: defaults, units and configuration errors. All problems are reported together, in
 * one TypeError that names each option, its value and the correction. Fetches nothing.
 */

import { Problems } from '../base/options/problems.js'
import { world } from '../base/world.js'
import { readSenderSettings, type SenderSettings } from '../confirmation/settings.js'
import { isQuotable, isScopeToken } from '../errors/challenge.js'
import { type HttpSettings, insecureHostsOf, readHttp } from '../http/settings.js'
import { type IssuerResolver, type IssuerSettings, type Means, readIssuerOptions } from '../issuer/settings.js'
import { type DecryptionKeySettings, readDecryptionKeys } from '../jwt/decryption-keys.js'
import { type RevocationSettings, readRevocation } from '../revocation/settings.js'
import { readShared } from '../sharing/settings.js'
import { createShared, type Shared } from '../sharing/shared.js'
import type { Check } from '../types.js'
import { readMetadata } from './metadata-settings.js'
import type { ResourceServerOptions } from './options.js'

export interface Settings {
  readonly resource: string
  /** The static issuers, or the function that resolves dynamic ones. */
  readonly issuers: readonly IssuerSettings[] | IssuerResolver
  readonly scopes: ReadonlySet<string> | undefined
  /** Roles that a check may name; undefined allows any. */
  readonly roles: ReadonlySet<string> | undefined
  /** Maps a scope to every scope that it includes, transitively. */
  readonly impliedScopes: ReadonlyMap<string, readonly string[]>
  readonly checks: readonly Check<string, string>[]
  /** Seconds. */
  readonly clockTolerance: number
  readonly now: () => number
  readonly realm: string | undefined
  readonly metadata: Readonly<Record<string, unknown>> | false
  readonly legacyClients: boolean
  readonly rejectQueryToken: boolean
  /** Maximum characters of a token. */
  readonly maxTokenLength: number
  readonly http: HttpSettings
  /** Maximum seconds for a callback that the user configured. */
  readonly callbackTimeout: number
  readonly sender: SenderSettings
  readonly decryptionKeys: readonly DecryptionKeySettings[]
  readonly revocation: RevocationSettings
  readonly shared: Shared | undefined
  /** False: no process warnings about refusals and failures. */
  readonly log: boolean
}

const OPTIONS: Readonly<Record<keyof ResourceServerOptions, true>> = {
  resource: true,
  issuers: true,
  scopes: true,
  roles: true,
  scopeHierarchy: true,
  checks: true,
  clockTolerance: true,
  now: true,
  realm: true,
  metadata: true,
  legacyClients: true,
  rejectQueryToken: true,
  maxTokenLength: true,
  http: true,
  dpop: true,
  publicUrl: true,
  clientCertificate: true,
  requireSenderConstrained: true,
  callbackTimeout: true,
  decryptionKeys: true,
  revocation: true,
  shared: true,
  log: true
}

/** @throws {TypeError} listing every problem */
export function readSettings(options: ResourceServerOptions): Settings {
  const problems = new Problems()
  if (!problems.object(options, 'options')) throw problems.error()
  problems.unknownKeys(options, '', Object.keys(OPTIONS))
  const now = problems.optional<() => number>(options.now, 'now', 'function') ?? (() => world.now())
  const sharing = readShared(options.shared, problems)
  // Keys cannot be derived from an invalid secret. The problem is reported below.
  const shared = sharing && !problems.any ? createShared(sharing, now) : undefined
  const settings: Settings = {
    resource: readResource(options.resource, problems),
    issuers: readIssuers(options, problems),
    scopes: readScopes(options.scopes, problems),
    roles: options.roles === undefined ? undefined : new Set(problems.names(options.roles, 'roles')),
    impliedScopes: readHierarchy(options.scopeHierarchy, problems),
    checks: Object.freeze([
      ...(problems.arrayOf<Check<string, string>>(options.checks ?? [], 'checks', 'function') ?? [])
    ]),
    clockTolerance: problems.number(options.clockTolerance, 'clockTolerance', {
      default: 30,
      min: 0,
      max: 300,
      unit: 'seconds'
    }),
    now,
    realm: readRealm(options.realm, problems),
    metadata: readMetadata(options.metadata ?? {}, problems),
    legacyClients: problems.optional(options.legacyClients, 'legacyClients', 'boolean') ?? false,
    rejectQueryToken: problems.optional(options.rejectQueryToken, 'rejectQueryToken', 'boolean') ?? false,
    maxTokenLength: problems.number(options.maxTokenLength, 'maxTokenLength', {
      default: 16_384,
      min: 1024,
      max: 65_536,
      unit: 'characters'
    }),
    http: readHttp(options.http ?? {}, problems),
    callbackTimeout: problems.number(options.callbackTimeout, 'callbackTimeout', {
      default: 5,
      min: 0.01,
      max: 120,
      unit: 'seconds'
    }),
    sender: readSenderSettings(options, shared, problems),
    decryptionKeys: readDecryptionKeys(options.decryptionKeys, problems),
    revocation: readRevocation(options.revocation, problems),
    shared,
    log: readLog(options.log, problems)
  }
  requireOwnKeys(settings, problems)
  requireLegacyIssuer(settings, problems)
  if (problems.any) throw problems.error()
  return Object.freeze(settings)
}

/** True for a valid value of the option `resource`. */
export function isResourceIdentifier(value: unknown): value is string {
  const problems = new Problems()
  readResource(value, problems)
  return !problems.any
}

function readResource(resource: unknown, problems: Problems): string {
  const meaning = 'this API’s identifier, such as https://api.example.com'
  // Names that other packages call the audience: `orders`, `api://orders`, `urn:acme:orders`.
  if (typeof resource === 'string' && /^(?!https?[:/])[\w.:/-]{1,80}$/i.test(resource)) {
    const cure = `it must be ${meaning}`
    const both = `resource: 'https://api.example.com', issuers: [{ issuer: 'https://as.example.com', audience: '${resource}' }]`
    problems.addValue('resource', resource, `${cure}. If \`aud\` of tokens is this text, write ${both}`, 'is', cure)
    return resource
  }
  const url = problems.url(resource, 'resource', meaning)
  if (url?.hash)
    problems.add('resource', 'must not have a fragment (RFC 9728 §1.2)', 'remove the # and the text after it')
  return String(resource)
}

/**
 * Older clients look for one authorization server at the API's origin. It must be configured, and must not be this
 * origin.
 */
function requireLegacyIssuer({ legacyClients, metadata, issuers, resource }: Settings, problems: Problems): void {
  if (!legacyClients) return
  if (metadata === false)
    problems.add('legacyClients', 'is true with `metadata: false`', 'it needs the metadata: leave one of the two out')
  const first = typeof issuers === 'function' ? undefined : issuers[0]?.issuer
  if (typeof issuers === 'function')
    problems.add(
      'legacyClients',
      'is true and `issuers` is a function',
      'give a list: older clients can find one issuer only'
    )
  else if (first !== undefined && URL.canParse(resource) && first.replace(/\/$/, '') === new URL(resource).origin)
    problems.add(
      'legacyClients',
      'is true and the first issuer is this origin',
      'leave it out: the issuer already serves its metadata there'
    )
}

/** Facts about the server that options of an issuer depend on. */
export function meansOf({ decryptionKeys, http }: Pick<ResourceServerOptions, 'decryptionKeys' | 'http'>): Means {
  return {
    decrypts: decryptionKeys !== undefined,
    dispatches: http?.dispatcher !== undefined,
    // Invalid values are reported where `http` is read.
    insecureHosts: insecureHostsOf(http?.insecureHosts)
  }
}

function readIssuers(options: ResourceServerOptions, problems: Problems): Settings['issuers'] {
  const { issuers, resource } = options
  if (typeof issuers === 'function') return issuers
  if (!Array.isArray(issuers) || issuers.length === 0) {
    problems.add(
      'issuers',
      'must be a list of at least one issuer, or a function',
      "write issuers: ['https://as.example.com']"
    )
    return []
  }
  const read = issuers.map((one, i) =>
    readIssuerOptions(one, `issuers[${i}]`, String(resource), problems, meansOf(options))
  )
  requireDistinct(read, problems)
  requireOneIntrospectionEach(read, problems)
  return Object.freeze(read)
}

function requireDistinct(issuers: readonly IssuerSettings[], problems: Problems): void {
  const seen = new Set<string>()
  for (const [i, { acceptedIssuers }] of issuers.entries()) {
    for (const name of acceptedIssuers) {
      if (seen.has(name))
        problems.add(
          `issuers[${i}]`,
          `accepts ${name}, as an earlier entry does`,
          'list each issuer once: a token must belong to exactly one'
        )
      seen.add(name)
    }
  }
}

/** An opaque token is sent to exactly one authorization server, never to several in turn (RFC 9700 §4.9.1). */
function requireOneIntrospectionEach(issuers: readonly IssuerSettings[], problems: Problems): void {
  const prefixes: string[] = []
  for (const [i, { introspection, tokens }] of issuers.entries()) {
    if (!introspection || tokens === 'jwt') continue
    const { tokenPrefix } = introspection
    const clash = prefixes.find((other) =>
      other === ''
        ? tokenPrefix === ''
        : tokenPrefix !== '' && (other.startsWith(tokenPrefix) || tokenPrefix.startsWith(other))
    )
    if (clash !== undefined) {
      problems.add(
        `issuers[${i}].introspection.tokenPrefix`,
        'cannot tell this issuer’s opaque tokens from those of another issuer',
        'set a different tokenPrefix for each issuer with introspection; one of them may have none'
      )
    }
    prefixes.push(tokenPrefix)
  }
}

function readScopes(scopes: unknown, problems: Problems): ReadonlySet<string> | undefined {
  if (scopes === undefined) return undefined
  const list = problems.arrayOf<string>(scopes, 'scopes', 'string') ?? []
  for (const one of list) requireScope(one, 'scopes', problems)
  return new Set(list)
}

function requireScope(value: unknown, option: string, problems: Problems): void {
  if (typeof value !== 'string' || !isScopeToken(value)) {
    problems.add(
      option,
      `holds ${JSON.stringify(value)}, which is not a scope`,
      'a scope is printable ASCII without space, quote or backslash (RFC 6749 §3.3)'
    )
  }
}

function readHierarchy(hierarchy: unknown, problems: Problems): ReadonlyMap<string, readonly string[]> {
  const direct = new Map<string, readonly string[]>()
  if (hierarchy === undefined || !problems.object(hierarchy, 'scopeHierarchy')) return direct
  for (const [name, implied] of Object.entries(hierarchy)) {
    requireScope(name, 'scopeHierarchy', problems)
    const list = problems.arrayOf<string>(implied, `scopeHierarchy.${name}`, 'string') ?? []
    for (const one of list) requireScope(one, `scopeHierarchy.${name}`, problems)
    direct.set(name, list)
  }
  return new Map([...direct.keys()].map((name) => [name, reachable(name, direct)]))
}

function reachable(start: string, edges: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const found = new Set<string>([start])
  for (const name of found) for (const next of edges.get(name) ?? []) found.add(next)
  found.delete(start)
  return Object.freeze([...found])
}

function readRealm(realm: unknown, problems: Problems): string | undefined {
  const text = problems.optional<string>(realm, 'realm', 'string')
  if (text !== undefined && !isQuotable(text)) {
    problems.add(
      'realm',
      'has a character that is not allowed in a header field',
      'use printable ASCII (RFC 9110 §5.6.4)'
    )
  }
  return text
}

function readLog(log: unknown, problems: Problems): boolean {
  if (log !== undefined && log !== false)
    problems.addValue(
      'log',
      log,
      'write false for no process warnings, or leave it out; for a logger call logTo(logger) of oauth-resource-server/log'
    )
  return log === undefined
}

/** `jwks_uri` of a resource names keys of the resource itself, never its authorization server's (RFC 9728 §2). */
function requireOwnKeys({ issuers, metadata, decryptionKeys }: Settings, problems: Problems): void {
  if (metadata !== false && metadata['jwks_uri'] !== undefined && decryptionKeys.length > 0)
    problems.add(
      'metadata.jwks_uri',
      'contradicts `decryptionKeys`',
      'leave it out: their public keys are published for you'
    )
  if (metadata === false || typeof issuers === 'function' || metadata['jwks_uri'] === undefined) return
  if (issuers.some(({ jwksUri }) => jwksUri === metadata['jwks_uri'])) {
    problems.add(
      'metadata.jwks_uri',
      'is the key set of an issuer',
      'leave it out, or give the key set of this API itself'
    )
  }
}
