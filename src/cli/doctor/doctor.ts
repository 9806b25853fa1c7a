/**
 * `doctor` checks whether a resource server can use the documents that an authorization server publishes, and whether
 * an API publishes what it must. It requests public documents, and once each a protected route and introspection
 * without credentials. It changes nothing. The only secret it sends is the token of `--jwks-token-file`, to
 * `--jwks-uri` only.
 *
 * It fetches and parses with the resource server's own code, so that both reach the same verdict.
 *
 * Tests: `test/cli/doctor.test.ts`.
 */

import { parseObject } from '../../base/json.js'
import { isLoopback } from '../../base/reach.js'
import { type Answer, describeStatus } from '../../http/exchange.js'
import { type IssuerOptions, ResourceServerError } from '../../index.js'
import { createDiscovery, type Heard } from '../../issuer/discovery.js'
import { jwksAuthFields } from '../../issuer/jwks-auth.js'
import type { AuthorizationServerMetadata } from '../../issuer/metadata.js'
import { requireEndpoint } from '../../issuer/metadata.js'
import { keySetExchange, readPublishedKeySet } from '../../issuer/published-keys.js'
import type { IssuerSettings } from '../../issuer/settings.js'
import type { KeySet } from '../../jwt/key-set.js'
import { readSettings, type Settings } from '../../server/settings.js'
import { type Connections, createConnections } from '../connections.js'
import {
  type Finding,
  harmless,
  inLine,
  json,
  painter,
  say,
  type Terminal,
  waiting,
  writeFinding
} from '../terminal.js'
import { recognise, type Vendor } from '../vendors.js'
import { type Asking, createAsking, problemOf } from './asking.js'
import { configurationFor, explainCommandFor } from './configuration.js'
import { type Add, quoted, textsOf } from './findings.js'
import { checkResource } from './resource-checks.js'

export interface DoctorOptions {
  readonly issuer: string
  /** URL of an API: its metadata and its challenge are checked. */
  readonly resource?: string | undefined
  /** Same as in the options of an issuer. */
  readonly metadataUrl?: string | undefined
  readonly jwksUri?: string | undefined
  /** Path of a file with the bearer token that `jwksUri` requires. */
  readonly jwksTokenFile?: string | undefined
  /** Path of a file with CA certificates in PEM. */
  readonly ca?: string | undefined
  readonly json: boolean
}

/** Seconds by which clocks may differ without a warning. */
const SKEW = 5
const MIN_FRESH = 60
const MAX_FRESH = 86_400

type Document = Readonly<Record<string, unknown>>

/** @returns the exit code: 0 no problem, 1 a problem, 2 no authorization server was reached */
export async function doctor(options: DoctorOptions, terminal: Terminal): Promise<0 | 1 | 2> {
  const connections = await createConnections(options.ca, terminal)
  try {
    return await examine(options, { ...terminal, http: connections.http, fetch: connections.fetch }, connections)
  } finally {
    await connections.close()
  }
}

async function examine(options: DoctorOptions, terminal: Terminal, { proxy }: Connections): Promise<0 | 1 | 2> {
  const { issuer, resource, json: asJson } = options
  const findings: Finding[] = []
  const add = (verdict: Finding['verdict'], name: string, detail?: string): void => {
    findings.push({ verdict, name: inLine(name), detail: detail === undefined ? undefined : harmless(detail) })
    const last = findings.at(-1) as Finding
    if (!asJson) writeFinding(terminal, last)
  }
  const title = (name: string, text: string): void => {
    if (!asJson) say(terminal, `${painter(terminal)('bold', name)} ${text}`)
  }
  title('Issuer', inLine(issuer))
  if (proxy !== undefined)
    add(
      'note',
      `Servers are asked through the proxy of ${proxy}`,
      "An API needs `http: { proxy: 'environment' }` for that."
    )
  const settings = readOptions(options, terminal, add)
  const { usable, reached, metadata } = settings
    ? await checkIssuer(settings, terminal, add)
    : { usable: false, reached: true, metadata: undefined }
  const vendor = recognise(issuer, metadata)
  if (vendor !== undefined) tellVendor(vendor, add)
  if (resource !== undefined) {
    title('\nResource', inLine(resource))
    await checkResource(resource, issuer, terminal, add)
  }
  const isWell = usable && !findings.some(({ verdict }) => verdict === 'failed')
  const api = { issuer, resource: resource ?? ANY_RESOURCE }
  const given = { ...options, ...api, ca: options.ca !== undefined, proxy: proxy !== undefined }
  const configuration = configurationFor(given, metadata, vendor)
  const next = explainCommandFor(api, vendor)
  if (asJson) terminal.out(json({ issuer, resource, ok: isWell, vendor: vendor?.name, findings, configuration, next }))
  else {
    if (usable) terminal.out(`\n${painter(terminal)('bold', 'To paste')}\n\n${configuration}`)
    title('\nNext', 'If the API refuses a token, explain says why:')
    terminal.out(`${next}\n`)
  }
  if (!reached) return 2
  return isWell ? 0 : 1
}

function tellVendor({ name, profile, sign, advice }: Vendor, add: Add): void {
  const told =
    profile === undefined
      ? [advice ?? '']
      : [
          `The configuration below uses its profile, \`${profile}\`. Compare it with a token of yours before you use it.`,
          'The library does not choose a profile by itself: the choice decides which checks apply to a token.'
        ]
  add(
    profile === undefined ? 'warning' : 'note',
    `This looks like ${name}`,
    [`Recognised by ${sign}.`, ...told].join('\n')
  )
}

const ANY_RESOURCE = 'https://api.example.com'

/** The issuer's entry in the suggested configuration. */
function issuerEntry({ issuer, metadataUrl, jwksUri, jwksTokenFile }: DoctorOptions): IssuerOptions {
  return {
    issuer,
    ...(metadataUrl !== undefined && { metadataUrl }),
    ...(jwksUri !== undefined && { jwksUri }),
    ...(jwksTokenFile !== undefined && { jwksAuth: { tokenFile: jwksTokenFile } })
  }
}

/**
 * The settings of a resource server with these options. Returns undefined and adds a finding if it would not start with
 * them.
 */
function readOptions(options: DoctorOptions, { http }: Terminal, add: Add): Settings | undefined {
  try {
    const issuers = [issuerEntry(options)]
    const settings = readSettings({ resource: options.resource ?? ANY_RESOURCE, issuers, ...(http && { http }) })
    add('passed', isLoopback(new URL(options.issuer)) ? 'It is an address of this machine' : 'It is an https URL')
    return settings
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    add('failed', 'A resource server starts with these options', error.message.split('\n').slice(1).join('\n'))
    return undefined
  }
}

/** Result of checking an issuer. */
interface Examined {
  /** True if a resource server can verify the issuer's tokens. */
  readonly usable: boolean
  readonly reached: boolean
  readonly metadata: AuthorizationServerMetadata | undefined
}

/** Values shared by the checks of one issuer. */
interface Examination {
  readonly settings: IssuerSettings
  /** Maximum seconds for `jwksAuth`. */
  readonly callbackTimeout: number
  readonly asking: Asking
  readonly terminal: Terminal
  readonly add: Add
}

async function checkIssuer(
  { issuers, http, callbackTimeout }: Settings,
  terminal: Terminal,
  add: Add
): Promise<Examined> {
  const [settings] = issuers as readonly [IssuerSettings]
  const asking = createAsking(http)
  const examination = { settings, callbackTimeout, asking, terminal, add }
  try {
    const metadata = await findMetadata(examination)
    const isNeeded = settings.jwksUri === undefined
    const usable = isNeeded && metadata === undefined ? false : await checkKeys(metadata, examination)
    if (metadata !== undefined) {
      await checkIntrospection(metadata, examination)
      checkFeatures(metadata, add)
    }
    return { usable, reached: asking.reached(), metadata }
  } finally {
    await asking.close()
  }
}

async function findMetadata({
  settings,
  asking,
  terminal,
  add
}: Examination): Promise<AuthorizationServerMetadata | undefined> {
  const { issuer, jwksUri } = settings
  const heard: Parameters<Heard>[] = []
  const discover = createDiscovery(settings, asking.http, (...one) => void heard.push(one))
  try {
    const { document, place } = await waiting(terminal, `asking ${issuer}`, discover())
    tellPlaces([...heard], place, { asking, settings, add })
    const date = heard.find(([one]) => one === place)?.[2]?.date
    if (date) checkClock(date, terminal.now(), add)
    return document
  } catch (error) {
    if (!(error instanceof ResourceServerError)) throw error
    tellPlaces(heard, undefined, { asking, settings, add })
    if (jwksUri !== undefined) add('note', 'No metadata', '`jwksUri` is given: only introspection would need them.')
    else
      add(
        'failed',
        'There is metadata that may be used',
        `Without it the API answers ${error.status} to every token. ${adviceFor(heard, settings, asking.reached())}`
      )
    return undefined
  }
}

function adviceFor(heard: readonly Parameters<Heard>[], { metadataUrl }: IssuerSettings, isReached: boolean): string {
  if (!isReached) return 'Is the address right, is it up, and can this machine reach it?'
  if (heard.some(([, , answer]) => answer?.status === 401 || answer?.status === 403))
    return 'No credentials are sent for metadata: give `jwksUri` (--jwks-uri), and `jwksAuth` (--jwks-token-file) if the keys want credentials, too.'
  return metadataUrl === undefined
    ? 'Set `issuer` to exactly what the metadata names, or give `metadataUrl` (--metadata-url) or `jwksUri` (--jwks-uri).'
    : 'Set `issuer` to exactly what the metadata names, or give `jwksUri` (--jwks-uri).'
}

/** @param found the URL that serves the document, if one does */
function tellPlaces(
  heard: readonly Parameters<Heard>[],
  found: string | undefined,
  { asking, settings: { expectedMetadataIssuer, jwksUri }, add }: Pick<Examination, 'asking' | 'settings' | 'add'>
): void {
  let isMissed = false
  for (const [place, problem, answer] of heard) {
    const name = `Metadata at ${place}`
    if (place === found) continue
    if (problem === undefined) {
      add('note', name, 'has the document, too')
      continue
    }
    isMissed ||= answer?.status !== 404
    const told = problem.startsWith('names the issuer')
      ? `${problem}, not ${quoted(expectedMetadataIssuer)}: they must be exactly equal (RFC 8414 §3.3)`
      : problem
    const verdict = answer?.status === 404 || jwksUri !== undefined ? 'note' : found ? 'warning' : 'failed'
    add(verdict, name, [told, ...asking.details(place)].join('\n'))
  }
  if (found === undefined) return
  const silent = [...asking.asked].filter((url) => heard.every(([place]) => place !== url))
  for (const url of silent) add('warning', `Metadata at ${url}`, 'had not answered when the document was found')
  add(
    'passed',
    `Metadata at ${found}`,
    isMissed || silent.length > 0
      ? 'The API asks this place alone from then on. With `metadataUrl` (--metadata-url) it asks no other at its start.'
      : undefined
  )
}

function checkClock(date: string, now: number, add: Add): void {
  const ahead = Math.round(Date.parse(date) / 1000 - now)
  if (Number.isNaN(ahead) || Math.abs(ahead) <= SKEW) add('passed', 'Its clock agrees with this one')
  else
    add(
      Math.abs(ahead) > 30 ? 'failed' : 'warning',
      'Its clock agrees with this one',
      `It is ${Math.abs(ahead)} s ${ahead > 0 ? 'ahead' : 'behind'}. Tokens are refused that begin later, or ended earlier, than 30 s (\`clockTolerance\`). Set both by NTP.`
    )
}

/**
 * The endpoint that the resource server would use. Returns undefined and adds a finding if it would refuse the
 * endpoint.
 */
function endpointOf(
  metadata: AuthorizationServerMetadata,
  name: 'jwks_uri' | 'introspection_endpoint',
  { settings, add }: Examination
): string | undefined {
  try {
    return requireEndpoint(metadata, name, settings)
  } catch (error) {
    add('failed', `The metadata have a \`${name}\` that may be asked`, inLine(problemOf(error)))
    return undefined
  }
}

/** @returns true if the set has a key that can verify tokens */
async function checkKeys(
  metadata: AuthorizationServerMetadata | undefined,
  examination: Examination
): Promise<boolean> {
  const { settings, callbackTimeout, asking, terminal, add } = examination
  const uri = settings.jwksUri ?? (metadata && endpointOf(metadata, 'jwks_uri', examination))
  if (uri === undefined) return false
  let answer: Answer | undefined
  try {
    const credentials = await jwksAuthFields(settings, callbackTimeout)
    answer = await waiting(terminal, `asking ${uri}`, asking.http(keySetExchange(uri, false, credentials)))
    const keys = readPublishedKeySet(answer, uri, {}, settings.jwksAuth !== undefined)
    const isUsable = tellKeys(keys, answer, uri, add)
    tellFreshness(answer, add)
    return isUsable
  } catch (error) {
    const wantsCredentials = answer?.status === 401 || answer?.status === 403
    const line = `jwksUri: ${quoted(uri)}, jwksAuth: { tokenFile: "/path/of/the/token" }`
    const cure =
      wantsCredentials && settings.jwksAuth === undefined
        ? [`For the issuer: ${line}`, `Then look again, with --jwks-uri ${uri} --jwks-token-file FILE`]
        : []
    add('failed', `Keys at ${uri}`, [problemOf(error), ...asking.details(uri), ...cure].join('\n'))
    return false
  }
}

function tellKeys(keys: KeySet, { body }: Answer, uri: string, add: Add): boolean {
  // A member that is not an object is skipped, like any other unusable key.
  const published = (JSON.parse(body) as { readonly keys: readonly unknown[] }).keys.map(
    (key) => Object(key) as Document
  )
  const kinds = published.map(({ kid, kty, alg, crv }) =>
    inLine(`${typeof kid === 'string' ? kid : 'no kid'} (${textsOf([kty, alg, crv])?.join(' ')})`)
  )
  const broken = keys.broken()
  const usable = published.length - keys.skipped.length - keys.otherUse - broken.length
  add(usable > 0 ? 'passed' : 'failed', `Keys at ${uri}: ${usable} of ${published.length} usable`, kinds.join('\n'))
  for (const why of [...keys.skipped, ...broken]) add(/private/.test(why) ? 'failed' : 'note', `Not used: ${why}`)
  if (keys.otherUse > 0) add('note', `Passed over: ${keys.otherUse} for another use, such as encryption`)
  const kids = published.map(({ kid }) => kid).filter((kid) => kid !== undefined)
  if (new Set(kids).size < kids.length)
    add('warning', 'Each key has a `kid` of its own', 'Two have the same: both are tried.')
  if (kids.length < published.length && published.length > 1)
    add('warning', 'Each key has a `kid`', 'Tokens without are refused where more than four keys fit.')
  return usable > 0
}

function tellFreshness({ cacheControl }: Answer, add: Add): void {
  const [, age] = /max-age=(\d+)/.exec(cacheControl) ?? []
  if (age === undefined) add('note', 'Cache-Control says how long they are fresh', 'It does not: 600 s are assumed.')
  else if (Number(age) < MIN_FRESH || Number(age) > MAX_FRESH)
    add('warning', `Cache-Control: max-age=${age}`, 'Kept within 60 s and 3600 s here.')
  else add('passed', `Cache-Control: max-age=${age}`)
}

async function checkIntrospection(metadata: AuthorizationServerMetadata, examination: Examination): Promise<void> {
  const { asking, terminal, add } = examination
  if (metadata['introspection_endpoint'] === undefined)
    return add('note', 'No introspection: opaque tokens and `fresh()` cannot be had')
  const endpoint = endpointOf(metadata, 'introspection_endpoint', examination)
  if (endpoint === undefined) return
  const methods = textsOf(metadata['introspection_endpoint_auth_methods_supported'])
  add('passed', `Introspection at ${endpoint}`, methods && inLine(`clients authenticate by ${methods.join(', ')}`))
  const question = 'It refuses callers that do not authenticate'
  try {
    const { status, body } = await waiting(
      terminal,
      `asking ${endpoint}`,
      asking.http({
        url: endpoint,
        method: 'POST',
        headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ token: 'doctor' }).toString(),
        dependency: 'introspection'
      })
    )
    if ([400, 401, 403].includes(status)) add('passed', `${question} (${status})`)
    else if (status === 200 && parseObject(body) !== undefined)
      add('failed', question, 'It answers any caller: tokens can be guessed at (RFC 7662 §2.1, §4).')
    else add('warning', question, status === 200 ? 'answered 200 without a JSON object' : describeStatus(status))
  } catch (error) {
    add('warning', question, [problemOf(error), ...asking.details(endpoint)].join('\n'))
  }
}

const FEATURES: readonly (readonly [member: string, name: string])[] = [
  ['dpop_signing_alg_values_supported', 'DPoP (RFC 9449)'],
  ['tls_client_certificate_bound_access_tokens', 'tokens bound to client certificates (RFC 8705)'],
  ['introspection_signing_alg_values_supported', 'signed introspection answers (RFC 9701)'],
  ['authorization_response_iss_parameter_supported', '`iss` in authorization responses (RFC 9207)']
]

function checkFeatures(metadata: AuthorizationServerMetadata, add: Add): void {
  for (const [member, name] of FEATURES) {
    const value = metadata[member]
    const texts = textsOf(value)
    const has = value === true || (texts !== undefined && texts.length > 0)
    add('note', `${has ? 'Offers' : 'Does not say that it offers'} ${name}`, texts && inLine(texts.join(' ')))
  }
}
