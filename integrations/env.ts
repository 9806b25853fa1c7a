/**
 * Reads options from environment variables, for an API that is configured at deployment. Reports everything missing or
 * wrong together, by variable name, and never repeats a value. A name with `_FILE` holds the path of a file with the
 * value, as Docker and Kubernetes mount secrets. Files are read once, except `JWKS_TOKEN_FILE`, whose token is rotated.
 *
 * Does NOT read `process.env` by itself. Supports only settings that differ between deployments.
 */
import { readFileSync } from 'node:fs'
import { closest } from '../src/base/options/spelling.js'
import {
  bearerToken,
  type ClientAuth,
  clientSecretBasic,
  clientSecretPost,
  type DpopOptions,
  type IssuerOptions,
  type ResourceServerOptions
} from '../src/index.js'

const PREFIX = 'OAUTH_RS_'

/** The meaning of each variable, by its name without the prefix. */
const VARIABLES = {
  RESOURCE: 'identifier of this API, required',
  ISSUER: 'issuer, required; separate several by spaces: they share all other settings',
  AUDIENCE: 'audience of the API in tokens, if it is not the identifier; separate several by spaces',
  TOKEN_PROFILE: '`legacy` for tokens whose `typ` is not `at+jwt`',
  TOKENS: '`jwt`, `opaque` or `both`',
  JWKS_URI: 'URL of the keys, if the metadata do not name it',
  JWKS_TOKEN_FILE: `a file with the bearer token that ${PREFIX}JWKS_URI requires; it is read before each fetch of the keys`,
  METADATA_URL: 'URL of the metadata, if it is not a well-known URL',
  REACHED_AT: 'origin at which the issuer is reached, if it is not the issuer’s own',
  INSECURE_HOSTS: 'hosts to reach over plain http, as `host:port`; separate several by spaces',
  PROXY: `the outbound proxy: \`environment\`, or its URL; or ${PREFIX}PROXY_FILE`,
  INTROSPECTION_ENDPOINT: 'URL of the endpoint, if the metadata do not name it',
  CLIENT_ID: 'client identifier of this API at the authorization server: turns introspection on',
  CLIENT_SECRET: `its secret; or ${PREFIX}CLIENT_SECRET_FILE`,
  CLIENT_AUTH: '`client_secret_basic` (default) or `client_secret_post`',
  ALLOW_MISSING_AUDIENCE: '`true` or `false` (default): accept introspection answers without `aud`',
  API_KEY: `a Bearer token for introspection, in place of ${PREFIX}CLIENT_ID; or ${PREFIX}API_KEY_FILE`,
  DPOP: '`off`, `offered` or `required`',
  DPOP_NONCES: '`off`, `offered` or `required`',
  DPOP_NONCE_SECRET: `the same in all processes, at least 32 characters, without spaces; the previous secret may follow after a space; or ${PREFIX}DPOP_NONCE_SECRET_FILE`,
  PUBLIC_URL: 'URL at which clients reach this server, if it is not the origin of the resource',
  CLOCK_TOLERANCE: 'a whole number of seconds, in digits'
} as const

type Name = keyof typeof VARIABLES

const SECRETS: ReadonlySet<string> = new Set<Name>(['CLIENT_SECRET', 'API_KEY', 'DPOP_NONCE_SECRET', 'PROXY'])
/**
 * Variables that can apply to one issuer only. If several issuers shared one's keys, it could issue tokens in the name
 * of the others. If they shared credentials, one issuer would learn those for another. `CLIENT_SECRET` and
 * `CLIENT_AUTH` depend on these variables.
 */
const OF_ONE_ISSUER: readonly Name[] = [
  'JWKS_URI',
  'JWKS_TOKEN_FILE',
  'METADATA_URL',
  'REACHED_AT',
  'INTROSPECTION_ENDPOINT',
  'CLIENT_ID',
  'API_KEY'
]
const CHOICES: Readonly<Partial<Record<Name, readonly string[]>>> = {
  TOKEN_PROFILE: ['rfc9068', 'legacy'],
  TOKENS: ['jwt', 'opaque', 'both'],
  CLIENT_AUTH: ['client_secret_basic', 'client_secret_post'],
  ALLOW_MISSING_AUDIENCE: ['true', 'false'],
  DPOP: ['off', 'offered', 'required'],
  DPOP_NONCES: ['off', 'offered', 'required']
}

/**
 * Options for `resourceServer()` from variables that begin with `OAUTH_RS_`. A list is separated by spaces, a number is
 * written in digits, a boolean is `true` or `false`. An empty variable counts as missing. An unknown one is an error,
 * since it is usually a typing mistake.
 *
 * ```ts
 * const api = resourceServer({ ...fromEnv(process.env), scopes: ['orders:read'] })
 * ```
 *
 * @throws {TypeError} listing every variable that is missing, unknown, contradicting or wrong. Does NOT check the
 * values themselves, such as URLs: `resourceServer()` does
 */
export function fromEnv(env: Readonly<Record<string, string | undefined>>): ResourceServerOptions {
  const problems: string[] = []
  const values = read(env, problems)
  const issuers = list(values.get('ISSUER'))
  for (const name of ['ISSUER', 'AUDIENCE', 'INSECURE_HOSTS'] as const)
    if (values.get(name)?.includes(','))
      problems.push(
        `${PREFIX}${name} has commas: separate several by spaces; a name with a comma goes into the option \`issuers\``
      )
  if (!values.has('RESOURCE')) problems.push(`${PREFIX}RESOURCE is missing: ${VARIABLES.RESOURCE}`)
  if (issuers.length === 0) problems.push(`${PREFIX}ISSUER is missing: ${VARIABLES.ISSUER}`)
  if (issuers.length > 1) {
    for (const name of OF_ONE_ISSUER.filter((one) => values.has(one)))
      problems.push(
        `${PREFIX}${name} describes one issuer, but ${PREFIX}ISSUER lists ${issuers.length}: configure each issuer in the option \`issuers\``
      )
  }
  const shared = issuerOptions(values, problems)
  const dpop = dpopOptions(values, problems)
  const tolerance = values.get('CLOCK_TOLERANCE')
  if (tolerance !== undefined && !/^\d{1,3}$/.test(tolerance))
    problems.push(`${PREFIX}CLOCK_TOLERANCE is not a whole number of seconds, in digits: write 30`)
  if (problems.length > 0)
    throw new TypeError(
      `fromEnv() found ${problems.length === 1 ? 'a problem' : `${problems.length} problems`} in the environment:\n${problems.map((one) => `- ${one}`).join('\n')}`
    )
  const publicUrl = values.get('PUBLIC_URL')
  const http = httpOptions(values)
  return {
    resource: values.get('RESOURCE') as string,
    issuers: issuers.map((issuer) => ({ issuer, ...shared })),
    ...(tolerance !== undefined && { clockTolerance: Number(tolerance) }),
    ...(publicUrl !== undefined && { publicUrl }),
    ...(http !== undefined && { http }),
    ...(dpop !== undefined && { dpop }),
    ...(values.get('DPOP') === 'required' && { requireSenderConstrained: 'dpop' as const })
  }
}

/** The non-empty values, by name without prefix. */
function read(env: Readonly<Record<string, string | undefined>>, problems: string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const [variable, value = ''] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || value === '') continue
    const name = variable.slice(PREFIX.length)
    const secret = name.replace(/_FILE$/, '')
    if (Object.hasOwn(VARIABLES, name)) values.set(name, value)
    else if (name !== secret && SECRETS.has(secret)) {
      const content = readSecret(value)
      if (env[PREFIX + secret]) problems.push(`${PREFIX}${secret} and ${variable} are both set: remove one of them`)
      else if (content === undefined) problems.push(`${variable} names a file that cannot be read, or is empty`)
      // Any value will do: it prevents a second message that the variable is missing.
      values.set(secret, content ?? 'unreadable')
    } else if (name === 'PROFILE') problems.push(`${variable} was renamed: write ${PREFIX}TOKEN_PROFILE=legacy`)
    else problems.push(`${variable} is not a known variable: ${curedBy(name)}`)
  }
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = values.get(name)
    if (value !== undefined && !choices.includes(value))
      problems.push(`${PREFIX}${name} must be one of ${choices.join(', ')}`)
  }
  return values
}

/** Reads a file, without the trailing newline that editors add. */
function readSecret(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '') || undefined
  } catch {
    return undefined
  }
}

/** Variables that people bring from elsewhere, and the ones that take their place. */
const COUNTERPARTS: Readonly<Record<string, Name>> = {
  ISSUER_URL: 'ISSUER',
  ISSUER_BASE_URL: 'ISSUER',
  ISSUERS: 'ISSUER',
  AUDIENCES: 'AUDIENCE',
  JWKS_URL: 'JWKS_URI',
  DISCOVERY_URL: 'METADATA_URL',
  INTROSPECTION_URL: 'INTROSPECTION_ENDPOINT',
  CLOCK_SKEW: 'CLOCK_TOLERANCE'
}

/** The variable that takes the place of an unknown one, by its name without prefix. */
function curedBy(name: string): string {
  const meant = Object.hasOwn(COUNTERPARTS, name) ? COUNTERPARTS[name] : closest(name, Object.keys(VARIABLES))
  if (meant !== undefined) return `did you mean ${PREFIX}${meant}?`
  return `the names are ${Object.keys(VARIABLES)
    .map((one) => PREFIX + one)
    .join(', ')}`
}

function issuerOptions(values: ReadonlyMap<string, string>, problems: string[]): Partial<IssuerOptions> {
  const audience = list(values.get('AUDIENCE'))
  const introspection = introspectionOptions(values, problems)
  const tokenFile = values.get('JWKS_TOKEN_FILE')
  if (tokenFile !== undefined && !values.has('JWKS_URI'))
    problems.push(`${PREFIX}JWKS_URI is missing: the token of ${PREFIX}JWKS_TOKEN_FILE is sent there and nowhere else`)
  const options = {
    tokenProfile: values.get('TOKEN_PROFILE'),
    tokens: values.get('TOKENS'),
    jwksUri: values.get('JWKS_URI'),
    jwksAuth: tokenFile === undefined ? undefined : { tokenFile },
    metadataUrl: values.get('METADATA_URL'),
    reachedAt: values.get('REACHED_AT'),
    audience: audience.length > 0 ? audience : undefined,
    introspection
  }
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

function httpOptions(values: ReadonlyMap<string, string>): ResourceServerOptions['http'] {
  const insecureHosts = list(values.get('INSECURE_HOSTS'))
  const proxy = values.get('PROXY')
  if (insecureHosts.length === 0 && proxy === undefined) return undefined
  return { ...(insecureHosts.length > 0 && { insecureHosts }), ...(proxy !== undefined && { proxy }) }
}

function introspectionOptions(values: ReadonlyMap<string, string>, problems: string[]): IssuerOptions['introspection'] {
  const clientId = values.get('CLIENT_ID')
  const secret = values.get('CLIENT_SECRET')
  const apiKey = values.get('API_KEY')
  if (apiKey !== undefined && clientId !== undefined)
    problems.push(
      `${PREFIX}API_KEY and ${PREFIX}CLIENT_ID are both set: remove one of them, since only one can authenticate this API`
    )
  if (clientId !== undefined && secret === undefined)
    problems.push(`${PREFIX}CLIENT_SECRET is missing: ${VARIABLES.CLIENT_SECRET}`)
  for (const name of ['CLIENT_SECRET', 'CLIENT_AUTH'])
    if (values.has(name) && clientId === undefined)
      problems.push(`${PREFIX}CLIENT_ID is missing: ${VARIABLES.CLIENT_ID}`)
  const needs = values.has('INTROSPECTION_ENDPOINT') || ['opaque', 'both'].includes(values.get('TOKENS') ?? '')
  if (needs && clientId === undefined && apiKey === undefined)
    problems.push(`${PREFIX}CLIENT_ID or ${PREFIX}API_KEY is missing: opaque tokens must be introspected`)
  const auth = authOf(values)
  if (auth === undefined) {
    if (values.has('ALLOW_MISSING_AUDIENCE'))
      problems.push(
        `${PREFIX}ALLOW_MISSING_AUDIENCE applies to introspection only: it needs ${PREFIX}CLIENT_ID or ${PREFIX}API_KEY`
      )
    return undefined
  }
  const endpoint = values.get('INTROSPECTION_ENDPOINT')
  return {
    ...(clientId !== undefined && { clientId }),
    auth,
    ...(endpoint !== undefined && { endpoint }),
    ...(values.get('ALLOW_MISSING_AUDIENCE') === 'true' && { allowMissingAudience: true })
  }
}

function authOf(values: ReadonlyMap<string, string>): ClientAuth | undefined {
  const apiKey = values.get('API_KEY')
  if (apiKey !== undefined) return bearerToken(apiKey)
  const secret = values.get('CLIENT_SECRET')
  if (secret === undefined) return undefined
  return values.get('CLIENT_AUTH') === 'client_secret_post' ? clientSecretPost(secret) : clientSecretBasic(secret)
}

function dpopOptions(values: ReadonlyMap<string, string>, problems: string[]): DpopOptions | false | undefined {
  const mode = values.get('DPOP')
  const nonces = values.get('DPOP_NONCES') as DpopOptions['nonces']
  const [nonceSecret, previous, ...more] = list(values.get('DPOP_NONCE_SECRET'))
  if (values.has('DPOP_NONCE_SECRET') && nonceSecret === undefined)
    problems.push(`${PREFIX}DPOP_NONCE_SECRET contains only spaces`)
  if (more.length > 0) problems.push(`${PREFIX}DPOP_NONCE_SECRET has more than two secrets`)
  if (mode === 'off' && (nonces !== undefined || nonceSecret !== undefined))
    problems.push(
      `${PREFIX}DPOP is off, but ${PREFIX}DPOP_NONCES or ${PREFIX}DPOP_NONCE_SECRET is set: remove them, or turn DPoP on`
    )
  if (mode === 'off') return false
  if (mode === undefined && nonces === undefined && nonceSecret === undefined) return undefined
  return {
    ...(mode === 'offered' && { advertise: true }),
    ...(nonces !== undefined && { nonces }),
    ...(nonceSecret !== undefined && { nonceSecret: previous === undefined ? nonceSecret : [nonceSecret, previous] })
  }
}

function list(value = ''): readonly string[] {
  return value.split(/\s+/).filter(Boolean)
}
