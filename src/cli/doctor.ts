/**
 * `doctor`: what an authorization server publishes, as a resource server needs it, and whether an API in front of it says
 * what it must. It asks for public documents, and once for a protected route and for introspection without credentials;
 * it sends no secret and changes nothing.
 */

import { requireEndpoint } from '../discovery.js'
import type { Misconfigured } from '../errors.js'
import { parseObject } from '../json.js'
import { readKeySet } from '../key-set.js'
import { type Finding, harmless, inLine, json, painter, type Terminal, waiting, writeFinding } from './terminal.js'

export interface DoctorOptions {
  readonly issuer: string
  /** An API: its metadata, and the challenge of its address. */
  readonly resource?: string | undefined
  readonly json: boolean
}

const PATIENCE = 5000
/** As much as the resource server reads. */
const MAX_BYTES = 256 * 1024
/** Seconds by which clocks may differ without a word. */
const SKEW = 5
const MIN_FRESH = 60
const MAX_FRESH = 86_400

type Document = Readonly<Record<string, unknown>>

interface Fetched {
  readonly url: string
  /** 0 for no answer. */
  readonly status: number
  readonly headers: Headers
  readonly document: Document | undefined
  readonly problem: string | undefined
}

/** @returns the exit code: 0 all is well, 1 something is wrong, 2 nothing could be asked */
export async function doctor(
  { issuer, resource, json: asJson }: DoctorOptions,
  terminal: Terminal
): Promise<0 | 1 | 2> {
  const findings: Finding[] = []
  const add = (verdict: Finding['verdict'], name: string, detail?: string): void => {
    findings.push({ verdict, name: inLine(name), detail: detail === undefined ? undefined : harmless(detail) })
    const last = findings.at(-1) as Finding
    if (!asJson) writeFinding(terminal, last)
  }
  const get = (url: string, init: RequestInit = {}): Promise<Fetched> =>
    waiting(terminal, `asking ${url}`, fetchDocument(terminal, url, init))
  const paint = painter(terminal)
  if (!asJson) terminal.out(`${paint('bold', 'Issuer')} ${inLine(issuer)}\n`)

  checkAddress(issuer, add)
  const { metadata, reached, date } = await findMetadata(issuer, get, add)
  if (date !== undefined) checkClock(date, terminal.now(), add)
  if (metadata !== undefined) {
    await checkKeys(metadata, issuer, get, add)
    await checkIntrospection(metadata, issuer, get, add)
    checkFeatures(metadata, add)
  }
  if (resource !== undefined) {
    if (!asJson) terminal.out(`\n${paint('bold', 'Resource')} ${inLine(resource)}\n`)
    await checkResource(resource, issuer, get, add)
  }
  const isWell = metadata !== undefined && !findings.some(({ verdict }) => verdict === 'failed')
  const configuration = configurationFor(issuer, resource, metadata)
  if (asJson) terminal.out(json({ issuer, resource, ok: isWell, findings, configuration }))
  else if (metadata !== undefined) terminal.out(`\n${paint('bold', 'To paste')}\n\n${configuration}`)
  if (!reached) return 2
  return isWell ? 0 : 1
}

type Add = (verdict: Finding['verdict'], name: string, detail?: string) => void
type Get = (url: string, init?: RequestInit) => Promise<Fetched>

async function fetchDocument({ fetch }: Terminal, url: string, init: RequestInit): Promise<Fetched> {
  const nothing = { url, status: 0, headers: new Headers(), document: undefined }
  try {
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE),
      headers: { accept: 'application/json', ...(init.headers as Record<string, string>) }
    })
    const { status, headers } = response
    if (status >= 300 && status < 400)
      return { ...nothing, status, headers, problem: `answered ${status}: redirects are not followed` }
    const document = parseObject(await readSome(response))
    const problem =
      document === undefined
        ? `answered with something that is not a JSON object of at most ${MAX_BYTES} bytes and 64 levels`
        : undefined
    return { url, status, headers, document, problem: status === 200 ? problem : `answered ${status}` }
  } catch (error) {
    const { cause } = error as Error
    const why = cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(error)
    return { ...nothing, problem: `could not be reached: ${why}` }
  }
}

/** What is longer is cut, and then no JSON any more. */
async function readSome({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength
    if (bytes > MAX_BYTES) break
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function checkAddress(issuer: string, add: Add): void {
  const { protocol, hostname, search, hash } = new URL(issuer)
  const isLocal = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
  if (protocol !== 'https:' && !isLocal) add('failed', 'It is an https URL', 'RFC 8414 §2: use https.')
  else add('passed', isLocal ? 'It is an address of this machine' : 'It is an https URL')
  if (search !== '' || hash !== '') add('failed', 'It has no query and no fragment', 'RFC 8414 §2.')
}

/** RFC 8414 §3.1, and OpenID Connect Discovery §4, inserted and appended. */
function placesOf(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [
    ...new Set([
      `${origin}/.well-known/oauth-authorization-server${path}`,
      `${origin}/.well-known/openid-configuration${path}`,
      `${origin}${path}/.well-known/openid-configuration`
    ])
  ]
}

interface Found {
  readonly metadata: Document | undefined
  readonly reached: boolean
  readonly date: string | undefined
}

async function findMetadata(issuer: string, get: Get, add: Add): Promise<Found> {
  const all: Fetched[] = []
  for (const url of placesOf(issuer)) all.push(await get(url))
  const reached = all.some(({ status }) => status > 0)
  const date = all.map(({ headers }) => headers.get('date')).find((one) => one !== null) ?? undefined
  const good = all.find(({ status, document }) => status === 200 && document?.['issuer'] === issuer)
  for (const { url, status, document, problem } of all) {
    if (problem !== undefined) add(good || status === 404 ? 'note' : 'failed', `Metadata at ${url}`, problem)
    else if (document?.['issuer'] === issuer) add('passed', `Metadata at ${url}`)
    else
      add(
        'failed',
        `Metadata at ${url}`,
        `name the issuer ${quoted(document?.['issuer'])}, not ${quoted(issuer)}: they must be equal to the letter (RFC 8414 §3.3)`
      )
  }
  if (good === undefined)
    add(
      'failed',
      'There is metadata that may be used',
      reached
        ? 'Set `issuer` to what they name, or give `metadataUrl` or `jwksUri`.'
        : 'Is the address right, is it up, and can this machine reach it?'
    )
  return { metadata: good?.document, reached, date }
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

/** As the resource server takes it; undefined where it would not, which is told. */
function endpointOf(metadata: Document, name: 'jwks_uri' | 'introspection_endpoint', issuer: string, add: Add) {
  try {
    return requireEndpoint({ ...metadata, issuer }, name, { issuer, label: issuer })
  } catch (error) {
    add('failed', `The metadata have a \`${name}\` that may be asked`, inLine((error as Misconfigured).hint))
    return undefined
  }
}

async function checkKeys(metadata: Document, issuer: string, get: Get, add: Add): Promise<void> {
  const uri = endpointOf(metadata, 'jwks_uri', issuer, add)
  if (uri === undefined) return
  const { status, document, headers, problem } = await get(uri)
  if (status !== 200 || document === undefined) return add('failed', `Keys at ${uri}`, problem)
  let keys: ReturnType<typeof readKeySet>
  try {
    keys = readKeySet(document)
  } catch (error) {
    return add('failed', `Keys at ${uri}`, String((error as Error).message))
  }
  // What is no object is skipped, as any other key that cannot be used.
  const published = (document['keys'] as readonly unknown[]).map((key) => Object(key) as Document)
  const kinds = published.map(({ kid, kty, alg, crv }) =>
    inLine(`${typeof kid === 'string' ? kid : 'no kid'} (${textsOf([kty, alg, crv])?.join(' ')})`)
  )
  add(
    keys.size > 0 ? 'passed' : 'failed',
    `Keys at ${uri}: ${keys.size} of ${published.length} usable`,
    kinds.join('\n')
  )
  for (const why of [...keys.skipped, ...keys.broken()])
    add(/private/.test(why) ? 'failed' : 'note', `Not used: ${why}`)
  const kids = published.map(({ kid }) => kid).filter((kid) => kid !== undefined)
  if (new Set(kids).size < kids.length)
    add('warning', 'Each key has a `kid` of its own', 'Two have the same: both are tried.')
  if (kids.length < published.length && published.length > 1)
    add('warning', 'Each key has a `kid`', 'Tokens without are refused where more than four keys fit.')
  const [, age] = /max-age=(\d+)/.exec(headers.get('cache-control') ?? '') ?? []
  if (age === undefined) add('note', 'Cache-Control says how long they are fresh', 'It does not: 600 s are assumed.')
  else if (Number(age) < MIN_FRESH || Number(age) > MAX_FRESH)
    add('warning', `Cache-Control: max-age=${age}`, 'Kept within 60 s and 3600 s here.')
  else add('passed', `Cache-Control: max-age=${age}`)
}

async function checkIntrospection(metadata: Document, issuer: string, get: Get, add: Add): Promise<void> {
  if (metadata['introspection_endpoint'] === undefined)
    return add('note', 'No introspection: opaque tokens and `fresh()` cannot be had')
  const endpoint = endpointOf(metadata, 'introspection_endpoint', issuer, add)
  if (endpoint === undefined) return
  const methods = textsOf(metadata['introspection_endpoint_auth_methods_supported'])
  add('passed', `Introspection at ${endpoint}`, methods && inLine(`clients authenticate by ${methods.join(', ')}`))
  const { status, document, problem } = await get(endpoint, {
    method: 'POST',
    body: new URLSearchParams({ token: 'doctor' })
  })
  if ([400, 401, 403].includes(status)) add('passed', `It refuses whoever does not authenticate (${status})`)
  else if (status === 200 && document !== undefined)
    add(
      'failed',
      'It refuses whoever does not authenticate',
      'It answers anybody: tokens can be guessed at (RFC 7662 §2.1, §4).'
    )
  else add('warning', 'It refuses whoever does not authenticate', problem)
}

const FEATURES: readonly (readonly [member: string, name: string])[] = [
  ['dpop_signing_alg_values_supported', 'DPoP (RFC 9449)'],
  ['tls_client_certificate_bound_access_tokens', 'tokens bound to client certificates (RFC 8705)'],
  ['introspection_signing_alg_values_supported', 'signed introspection answers (RFC 9701)'],
  ['authorization_response_iss_parameter_supported', '`iss` in authorization responses (RFC 9207)']
]

function checkFeatures(metadata: Document, add: Add): void {
  for (const [member, name] of FEATURES) {
    const value = metadata[member]
    const texts = textsOf(value)
    const has = value === true || (texts !== undefined && texts.length > 0)
    add('note', `${has ? 'Offers' : 'Does not say that it offers'} ${name}`, texts && inLine(texts.join(' ')))
  }
}

async function checkResource(resource: string, issuer: string, get: Get, add: Add): Promise<void> {
  const { origin, pathname } = new URL(resource)
  const place = `${origin}/.well-known/oauth-protected-resource${pathname.replace(/\/$/, '')}`
  const { document, problem } = await get(place)
  if (document === undefined || problem !== undefined) add('failed', `Metadata at ${place}`, `${problem} (RFC 9728 §3)`)
  else {
    const same = document['resource'] === resource
    const named = `names ${quoted(document['resource'])}: it must be equal to the letter (RFC 9728 §3.3)`
    add(same ? 'passed' : 'failed', `Metadata at ${place}`, same ? undefined : named)
    const servers = document['authorization_servers']
    const has = Array.isArray(servers) && servers.includes(issuer)
    const others = `\`authorization_servers\`: ${textsOf(servers)?.map(quoted).join(', ') || 'none'}`
    add(has ? 'passed' : 'failed', 'It names this issuer', has ? undefined : others)
  }
  const { status, headers, problem: silent } = await get(resource)
  const challenge = headers.get('www-authenticate')
  if (status === 401 && challenge !== null)
    add(
      challenge.includes('resource_metadata') ? 'passed' : 'warning',
      `${resource} without a token is 401, and says where to look`,
      challenge.includes('resource_metadata') ? undefined : `${challenge}\nNo \`resource_metadata\` (RFC 9728 §5.1).`
    )
  else
    add(
      'note',
      `${resource} without a token`,
      `${silent ?? `answered ${status}`}. If it is protected, it should be 401 with WWW-Authenticate.`
    )
}

/** Of a list, what is text: the rest may be nested so deep, or be so odd, that it cannot be written. */
function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined
}

function quoted(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : 'none'
}

function configurationFor(issuer: string, resource = 'https://api.example.com', metadata: Document = {}): string {
  const introspection =
    typeof metadata['introspection_endpoint'] === 'string'
      ? `
      // For opaque tokens, and for fresh(), with clientSecretBasic of this package:
      // introspection: { clientId: 'api', auth: clientSecretBasic(process.env.CLIENT_SECRET) }`
      : ''
  return `import { resourceServer } from 'oauth-resource-server'

const api = resourceServer({
  resource: ${json(resource).trimEnd()},
  issuers: [
    {
      issuer: ${json(issuer).trimEnd()}${introspection === '' ? '' : ','}${introspection}
    }
  ]
})
// If the API refuses a token of this issuer, explain names the option that admits it:
// npx oauth-resource-server explain --issuer ${inLine(issuer)} --resource ${inLine(resource)} < token.txt
`
}
