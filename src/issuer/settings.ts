/**
 * Reads one entry of `issuers`, or one answer of an issuer resolver, into frozen settings.
 *
 * Tests: `test/server/settings.test.ts`.
 */

import { Problems } from '../base/options/problems.js'
import { isHttp } from '../base/place.js'
import { type InsecureHosts, NO_HOSTS } from '../base/reach.js'
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from '../jwt/algorithms.js'
import type { ClaimPlace, ClaimPlaces, Places } from '../jwt/claim-places.js'
import type { IssuerRules } from '../jwt/claims.js'
import { type JsonWebKeySet, type KeySet, readKeySet } from '../jwt/key-set.js'
import type { Awaitable } from '../types.js'
import {
  type IntrospectionOptions,
  type IntrospectionSettings,
  type Means,
  readIntrospection
} from './introspection-settings.js'
import { originOf, readStatusList, type StatusListOptions, type StatusListSettings } from './status-list-settings.js'

export type { IntrospectionSettings, Means } from './introspection-settings.js'

export interface IssuerSettings extends IssuerRules {
  /** The issuer identifier, byte for byte. */
  readonly issuer: string
  /** The name in messages: the identifier; without its path if a resolver answered it, because it may come from a token. */
  readonly label: string
  readonly jwks: KeySet | undefined
  readonly jwksUri: string | undefined
  /** Only with `jwksUri`. */
  readonly jwksAuth: JwksAuth | undefined
  readonly metadataUrl: string | undefined
  readonly expectedMetadataIssuer: string
  /** An origin in the form of `URL.origin` that replaces the issuer's. undefined: the issuer's own. */
  readonly reachedAt: string | undefined
  /** Hosts that URLs in the metadata may name with plain http. */
  readonly insecureHosts: InsecureHosts
  readonly introspection: IntrospectionSettings | undefined
  readonly tokens: 'jwt' | 'opaque' | 'both'
  readonly requiredClaims: readonly string[]
  /** Refuse a JWT that came as a plain JWS. */
  readonly requireEncrypted: boolean
  /** undefined: the claim `status` is not read. */
  readonly statusList: StatusListSettings | undefined
}

const OPTIONS: Readonly<Record<keyof IssuerOptions, true>> = {
  issuer: true,
  audience: true,
  tokenProfile: true,
  algorithms: true,
  jwks: true,
  jwksUri: true,
  jwksAuth: true,
  metadataUrl: true,
  expectedMetadataIssuer: true,
  reachedAt: true,
  acceptedIssuers: true,
  introspection: true,
  tokens: true,
  scopeClaim: true,
  rolesClaim: true,
  clientIdClaim: true,
  requiredClaims: true,
  audienceClaim: true,
  requiredClaimValues: true,
  requireEncrypted: true,
  statusList: true
}

/** Claims that RFC 9068 §2.2 requires, besides `iss`, `exp` and `aud`, which are always required. */
const RFC9068_CLAIMS = ['sub', 'client_id', 'iat', 'jti']

/**
 * @param path      the entry's place, for messages: `issuers[0]`
 * @param resource  the default audience
 * @param means     default: none, so that an option that needs one is a mistake
 */
export function readIssuerOptions(
  entry: string | IssuerOptions,
  path: string,
  resource: string,
  problems: Problems,
  means: Means = { decrypts: false, dispatches: false, insecureHosts: NO_HOSTS }
): IssuerSettings {
  const given = typeof entry === 'string' ? { issuer: entry } : entry
  const options = problems.object(given, path) ? (given as unknown as IssuerOptions) : { issuer: '' }
  problems.unknownKeys(options, `${path}.`, Object.keys(OPTIONS))
  const { insecureHosts } = means
  const ownPath = typeof entry === 'string' ? path : `${path}.issuer`
  if (options === given) requireIssuer(options.issuer, ownPath, problems, insecureHosts)
  const at = (option: keyof IssuerOptions): string => `${path}.${option}`
  for (const option of ['jwksUri', 'metadataUrl'] as const) {
    if (options[option] !== undefined) problems.place(options[option], at(option), 'an https URL', insecureHosts)
  }
  if (options.jwks !== undefined && options.jwksUri !== undefined) {
    problems.add(at('jwksUri'), 'contradicts `jwks`', 'give the keys or the place to fetch them, not both')
  }
  const tokenProfile = problems.oneOf(options.tokenProfile, at('tokenProfile'), ['rfc9068', 'legacy']) ?? 'rfc9068'
  const introspection = readIntrospection(options.introspection, at('introspection'), problems, means)
  const tokens =
    problems.oneOf(options.tokens, at('tokens'), ['jwt', 'opaque', 'both']) ?? (introspection ? 'both' : 'jwt')
  if (tokens !== 'jwt' && !introspection) {
    problems.add(
      at('tokens'),
      `is '${tokens}' without \`introspection\``,
      'opaque tokens can only be introspected: configure it'
    )
  }
  const accepted = problems.names(options.acceptedIssuers ?? [], at('acceptedIssuers'))
  const required = options.requiredClaims ?? (tokenProfile === 'legacy' ? [] : RFC9068_CLAIMS)
  return Object.freeze({
    issuer: options.issuer,
    label: options.issuer,
    acceptedIssuers: new Set([options.issuer, ...accepted]),
    audience: readAudience(options.audience === undefined ? resource : options.audience, at('audience'), problems),
    audienceClaim: readAudienceClaim(options, at('audienceClaim'), problems),
    tokenProfile,
    algorithms: readAlgorithms(options.algorithms ?? SIGNATURE_ALGORITHMS, at('algorithms'), problems),
    jwks: readKeys(options.jwks, at('jwks'), problems),
    jwksUri: options.jwksUri,
    jwksAuth: readJwksAuth(options, at('jwksAuth'), problems),
    metadataUrl: options.metadataUrl,
    expectedMetadataIssuer:
      problems.optional<string>(options.expectedMetadataIssuer, at('expectedMetadataIssuer'), 'string') ??
      options.issuer,
    reachedAt: readReachedAt(options.reachedAt, at('reachedAt'), problems, insecureHosts),
    insecureHosts,
    introspection,
    tokens,
    scopeClaims: readPlaces(options.scopeClaim ?? ['scope', 'scp'], at('scopeClaim'), problems),
    rolesClaims:
      options.rolesClaim === undefined ? undefined : readPlaces(options.rolesClaim, at('rolesClaim'), problems),
    clientIdClaims: readNames(options.clientIdClaim ?? 'client_id', at('clientIdClaim'), problems),
    requiredClaims: Object.freeze([...problems.names(required, at('requiredClaims'))]),
    requiredClaimValues: readClaimValues(options.requiredClaimValues, at('requiredClaimValues'), problems),
    requireEncrypted: readRequireEncrypted(options.requireEncrypted, tokens, means, at('requireEncrypted'), problems),
    statusList: readStatusList(options, tokens, means, at('statusList'), problems)
  })
}

/** True for a value that the option `issuer` accepts. */
export function isIssuerIdentifier(value: unknown): value is string {
  const problems = new Problems()
  requireIssuer(value, 'issuer', problems, NO_HOSTS)
  return !problems.any
}

const ISSUER_MEANING = 'an issuer identifier, such as https://as.example.com'

function requireIssuer(issuer: unknown, path: string, problems: Problems, insecureHosts: InsecureHosts): void {
  if (isNameOnly(issuer)) {
    const cure = `it must be ${ISSUER_MEANING}`
    problems.addValue(path, issuer, `${cure}. ${nameOnlyCure(issuer)}`, 'is', cure)
    return
  }
  const url = problems.place(issuer, path, ISSUER_MEANING, insecureHosts)
  if (url && /[?#]/.test(issuer as string)) {
    problems.add(path, 'has a query or a fragment', 'an issuer identifier has neither (RFC 8414 §2)', {
      text: issuer as string
    })
  }
}

/** True for an `iss` that is not a URL, as some servers write: `acme.com`, `kubernetes/serviceaccount`, `urn:x`. */
function isNameOnly(issuer: unknown): issuer is string {
  return typeof issuer === 'string' && /^[\w.:/@-]{1,80}$/.test(issuer) && !issuer.includes('//') && !isHttp(issuer)
}

/** Shows the line to write. Its `issuer` serves only as a name in the settings: with `jwksUri`, no metadata are fetched. */
function nameOnlyCure(issuer: string): string {
  const host = /^(?:[a-z\d-]+\.)+[a-z]{2,}(?=\/|$)/i.exec(issuer)?.[0] ?? 'as.example.com'
  const address = `https://${host.toLowerCase()}`
  return `If the \`iss\` of tokens is exactly this text, which is not a URL, write { issuer: '${address}', acceptedIssuers: ['${issuer}'], jwksUri: '${address}/…' } in the \`issuers\` of resourceServer(), with the address of the keys as \`jwksUri\``
}

function readKeys(jwks: unknown, path: string, problems: Problems): KeySet | undefined {
  if (jwks === undefined) return undefined
  try {
    const set = readKeySet(jwks)
    for (const why of [...set.skipped, ...set.broken()]) problems.add(path, `${why}`, 'give public signature keys only')
    if (set.size === 0)
      problems.add(path, 'has no usable key', 'add a public signature key: without one no token can be verified')
    return set
  } catch (error) {
    problems.add(path, `is ${(error as Error).message}`, 'give a JSON Web Key Set: { keys: […] } (RFC 7517 §5)')
    return undefined
  }
}

function readJwksAuth({ jwksAuth, jwksUri }: IssuerOptions, path: string, problems: Problems): JwksAuth | undefined {
  if (jwksAuth === undefined) return undefined
  if (jwksUri === undefined)
    problems.add(path, 'is set without `jwksUri`', 'name the one address that the credentials may be sent to')
  if (typeof jwksAuth === 'function' || !problems.object(jwksAuth, path)) return jwksAuth
  problems.unknownKeys(jwksAuth, `${path}.`, ['tokenFile'])
  const [tokenFile = ''] = problems.names([jwksAuth.tokenFile], `${path}.tokenFile`)
  return Object.freeze({ tokenFile })
}

function readAudience(audience: unknown, path: string, problems: Problems): ReadonlySet<string> | null {
  if (audience === null) return null
  const list = problems.names(typeof audience === 'string' ? [audience] : audience, path)
  if (list.length === 0 && Array.isArray(audience))
    problems.add(path, 'is empty', 'name an identifier of this API, or write null to accept tokens for any API')
  return new Set(list)
}

function readAudienceClaim({ audienceClaim, audience }: IssuerOptions, path: string, problems: Problems): string {
  if (audienceClaim === undefined) return 'aud'
  if (audience === null) problems.add(path, 'is never read with `audience: null`', 'leave one of them out')
  return problems.names([audienceClaim], path)[0] ?? 'aud'
}

function readClaimValues(values: unknown, path: string, problems: Problems): IssuerSettings['requiredClaimValues'] {
  if (values === undefined || !problems.object(values, path)) return Object.freeze({})
  const read = Object.entries(values).map(([claim, list]) => {
    return [claim, list === true || new Set(readNames(list, `${path}.${claim}`, problems))] as const
  })
  return Object.freeze(Object.fromEntries(read))
}

function readRequireEncrypted(
  value: unknown,
  tokens: IssuerSettings['tokens'],
  { decrypts }: Means,
  path: string,
  problems: Problems
): boolean {
  const required = problems.optional<boolean>(value, path, 'boolean') ?? false
  if (required && !decrypts)
    problems.add(path, 'is true without `decryptionKeys`', 'without them no token can be decrypted: configure them')
  if (required && tokens === 'opaque')
    problems.add(
      path,
      "has no effect with `tokens: 'opaque'`",
      'leave one of them out: this issuer’s JWTs are not verified locally'
    )
  return required
}

function readReachedAt(value: unknown, path: string, problems: Problems, hosts: InsecureHosts): string | undefined {
  if (value === undefined) return undefined
  const url = problems.url(value, path, 'an origin, such as https://keycloak.internal:8443', hosts)
  return url && originOf(url, path, 'paths stay as they are', problems)
}

/** A claim, alternatives, or `{ all }`; a list within the list is a path. */
function readPlaces(value: unknown, path: string, problems: Problems): Places {
  if (typeof value === 'string' || Array.isArray(value)) return readPlaceList([value].flat(1), path, problems)
  if (typeof value !== 'object' || value === null) {
    problems.addValue(path, value, 'it must be a claim, a list of alternatives, or { all: [ … ] }')
    return []
  }
  problems.unknownKeys(value, `${path}.`, ['all'])
  const { all } = value as { readonly all?: unknown }
  if (Array.isArray(all)) return Object.freeze({ all: readPlaceList(all, `${path}.all`, problems) })
  problems.addValue(`${path}.all`, all, 'it must be a list of claims')
  return []
}

function readPlaceList(list: readonly unknown[], path: string, problems: Problems): readonly ClaimPlace[] {
  if (list.length === 0) problems.add(path, 'is empty', 'name at least one, or leave it out')
  return Object.freeze(
    list.map((place, i): ClaimPlace => {
      if (Array.isArray(place)) return readNames(place, `${path}[${i}]`, problems)
      if (typeof place === 'string') return problems.names([place], path)[0] ?? ''
      problems.addValue(path, place, 'a claim is a name, or a path: a list of names', 'holds')
      return ''
    })
  )
}

/** A list that must not be empty. */
function readNames(names: unknown, path: string, problems: Problems): readonly string[] {
  const list = problems.names(typeof names === 'string' ? [names] : names, path)
  if (Array.isArray(names) && names.length === 0) problems.add(path, 'is empty', 'name at least one, or leave it out')
  return Object.freeze([...list])
}

function readAlgorithms(algorithms: unknown, path: string, problems: Problems): ReadonlySet<SignatureAlgorithm> {
  const list = problems.arrayOf<SignatureAlgorithm>(algorithms, path, 'string') ?? []
  if (list.length === 0) problems.add(path, 'names no algorithm', `choose from ${SIGNATURE_ALGORITHMS.join(', ')}`)
  for (const one of list) problems.oneOf(one, path, SIGNATURE_ALGORITHMS)
  return new Set(list)
}

/** Credentials for a key endpoint: a function of yours that returns header fields by name, or a file that holds a bearer token of at most 16 KiB. */
export type JwksAuth = (() => Awaitable<Readonly<Record<string, string>>>) | { readonly tokenFile: string }

/** One trusted authorization server. */
export interface IssuerOptions {
  /** Issuer identifier (RFC 8414 §2): `https`, no query, no fragment; compared to `iss` code point by code point. */
  readonly issuer: string
  /**
   * Identifiers of this resource that a token may name in `aud`. Default: `resource`. `null` skips the check: then this
   * API accepts tokens for any audience.
   */
  readonly audience?: string | readonly string[] | null
  /**
   * `'rfc9068'` (default) accepts only `typ` `at+jwt` and requires the claims of RFC 9068 §2.2. `'legacy'` also accepts
   * `JWT` or a missing `typ`, if the claims show that it is an access token: `requiredClaimValues`, `token_use`,
   * `tokenName`, a scope claim, or a client claim that is not the audience. An ID token with one of the last two
   * passes.
   */
  readonly tokenProfile?: 'rfc9068' | 'legacy'
  /** Default: every {@link SignatureAlgorithm}. Metadata never widens it. */
  readonly algorithms?: readonly SignatureAlgorithm[]
  /** The issuer's keys, given here: nothing is fetched for JWTs. Excludes `jwksUri`. */
  readonly jwks?: JsonWebKeySet
  /** URL of the issuer's keys, instead of `jwks_uri` of its metadata. */
  readonly jwksUri?: string
  /**
   * Credentials for a key endpoint that requires them, as Kubernetes' does: a function that returns header fields, or a
   * file with a bearer token. Each fetch of the keys reads them, within `callbackTimeout` seconds. Needs `jwksUri`: the
   * fields are sent there alone. If the function or file fails, requests get a 500, unless held keys can still serve.
   */
  readonly jwksAuth?: JwksAuth
  /** URL of the issuer's metadata, instead of its well-known URLs. The metadata's `issuer` is still compared. */
  readonly metadataUrl?: string
  /** The `issuer` in the metadata, if the authorization server publishes another one there than in its tokens. Default: `issuer`. */
  readonly expectedMetadataIssuer?: string
  /**
   * The origin at which we reach the authorization server, if it is not the origin of `issuer`: a name inside a network,
   * such as `http://keycloak:8080`. The metadata, URLs in them whose origin is the issuer's, and status lists at that origin
   * are requested there, by the same path. Other URLs, and URLs in these options, are not changed.
   * `iss` and the metadata's `issuer` are still compared with `issuer`. Plain http needs `http.insecureHosts`, except on loopback.
   */
  readonly reachedAt?: string
  /**
   * The claim that must contain an identifier of `audience`. Default `aud`. Set it only for servers whose access tokens
   * have no `aud`.
   */
  readonly audienceClaim?: string
  /** Further exact `iss` values signed by the same keys. */
  readonly acceptedIssuers?: readonly string[]
  readonly introspection?: IntrospectionOptions
  /** `'jwt'`: verified here, nothing else is accepted. `'opaque'`: every token is introspected. `'both'`: by structure. Default: `'both'` with `introspection`, else `'jwt'`. */
  readonly tokens?: 'jwt' | 'opaque' | 'both'
  /**
   * Claims that hold the scopes, as a space-delimited string or an array: see {@link ClaimPlaces}. Default: `['scope',
   * 'scp']`. Do not name a claim with roles: a client would then have every scope for which its user has a role, even
   * if the client was not granted it.
   */
  readonly scopeClaim?: ClaimPlaces
  /** Claims that hold the roles, as an array of strings: see {@link ClaimPlaces}. Any other value except null and `""` makes the token invalid. Default: no roles are read. */
  readonly rolesClaim?: ClaimPlaces
  /** Claim (or claims) that holds the client identifier. Default: `client_id`. */
  readonly clientIdClaim?: string | readonly string[]
  /** Claims a JWT must have besides `iss`, `exp` and `aud`. Default: RFC 9068 §2.2's `sub`, `client_id` (as `clientIdClaim`), `iat`, `jti`; none with `tokenProfile: 'legacy'`. */
  readonly requiredClaims?: readonly string[]
  /**
   * Claims a token must have, in a JWT or an introspection answer, each with one of these values (`true`: any value
   * except null). For servers with their own claims for the kind of a token or its owner. With `tokenProfile:
   * 'legacy'`, a claim that says more than the owner (unlike `azp` or `tid`) marks the token as an access token, with
   * or without a `nonce`.
   */
  readonly requiredClaimValues?: Readonly<Record<string, readonly string[] | true>>
  /**
   * Refuse a JWT that is not encrypted (RFC 9068 §4), if you agreed on encryption with the authorization server. Needs
   * `decryptionKeys`. Default false.
   */
  readonly requireEncrypted?: boolean
  /**
   * On every request, look up JWTs with a claim `status` in the status list that it names
   * (draft-ietf-oauth-status-list). Lists are cached for their `ttl`. Default false: the claim is not read.
   */
  readonly statusList?: boolean | StatusListOptions
}

/**
 * Returns the issuer for a token, before any network request: for dynamic tenants. Called with the token's *unverified*
 * `iss`, or with undefined for an opaque token. Return undefined or null to refuse the token. Answers are cached: 1000
 * issuers for 300 s, refusals and unusable answers for 30 s. The function has `callbackTimeout` seconds. Attackers can
 * send any `iss`, so an unknown name should be cheap to refuse. While the function is called again, a known issuer is
 * used for at most 60 s more. An `iss` URL that would not be requested exactly as written is refused without a call. Do
 * not trust an `iss` by its prefix.
 */
export type IssuerResolver = (
  unverifiedIssuer: string | undefined
) => Awaitable<string | IssuerOptions | null | undefined>
