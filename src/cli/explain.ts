/**
 * `explain`: what a resource server with these settings makes of a token, check by check; what was expected and what
 * came; which option would admit it, and whether that is wise; and the answer that the API would give. The server that
 * decides is a real one.
 */
import { explainChecks } from '../../adapters/explain.js'
import { type IssuerOptions, type ResourceRequest, ResourceServerError, resourceServer, scope } from '../index.js'
import { parseObject } from '../json.js'
import { harmless, inLine, json, painter, type Terminal, waiting, writeFinding } from './terminal.js'

export interface ExplainOptions {
  readonly token: string
  /** Default: the token's `aud`, if it is one. */
  readonly resource?: string | undefined
  /** Default: the token's `iss`. */
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  readonly tokenProfile?: 'rfc9068' | 'legacy' | undefined
  /** What the route asks for, space-delimited. */
  readonly scope?: string | undefined
  /** A file with the key set: nothing is asked of anybody. */
  readonly jwks?: string | undefined
  readonly json: boolean
}

/** What would admit a token that was refused for this reason, and whether that is wise. */
const REMEDIES: Readonly<Record<string, string>> = {
  malformed: 'If this authorization server issues opaque tokens: `introspection`. Wise: they are made for that.',
  type: '`tokenProfile: "legacy"`. Wise where the authorization server cannot write `at+jwt`: most ID tokens are refused then, by their claims. With `requiredClaimValues`, where a claim of the token says that it is an access token.',
  audience:
    '`audience: [...]` with the identifier that came. Wise only if it names this API and no other; `audience: null` never is.',
  issuer:
    '`issuer` written exactly as the token has it, a final slash included. Wise: no name is folded. `acceptedIssuers` is for a second name of the same keys, another entry in `issuers` for another authorization server.',
  claim: '`requiredClaims`, or `tokenProfile: "legacy"`. Wise for a claim that nothing in your API relies on.',
  algorithm:
    '`algorithms`. Wise for another asymmetric algorithm that this issuer really uses; `none` and HS* cannot be had.',
  expired: '`clockTolerance`, up to 300 s. Wise for clocks that differ, not for tokens that are too old.',
  not_yet_valid: '`clockTolerance`, up to 300 s. Wise for clocks that differ; better to set them.',
  unknown_key: 'None. The key set is the issuer’s; look whether this is the issuer that signed it.',
  signature: 'None, and there must be none.',
  dpop_downgrade: 'None: the token is bound to its client’s key, and needs a proof (RFC 9449 §7). That is a property.',
  certificate_binding: 'None: the token is bound to a client certificate, and needs the TLS connection that has it.',
  insufficient_scope: 'The client must ask for the scope; or the route for less.'
}

/** @returns the exit code: 0 it is let in, 1 it is refused, 2 nobody can know */
export async function explain(options: ExplainOptions, terminal: Terminal): Promise<0 | 1 | 2> {
  const { token } = options
  const [header, payload] = token.split('.').map(decode)
  const issuer = options.issuer ?? issuerOf(payload)
  if (issuer === undefined)
    throw new TypeError('The token names no issuer (`iss`), so say which: --issuer https://as.example.com')
  const resource = options.resource ?? audienceOf(payload)
  if (resource === undefined)
    throw new TypeError('The token names no single audience (`aud`), so say which API it is for: --resource URL')
  const api = resourceServer({ resource, issuers: [await issuerOptions(issuer, options, terminal)], now: terminal.now })
  const request: ResourceRequest = {
    method: 'GET',
    url: '/',
    fieldLines: (name) => (name === 'authorization' ? [`Bearer ${token}`] : [])
  }
  const needed = options.scope?.split(' ').filter(Boolean) ?? []
  let error: ResourceServerError | undefined
  try {
    const decision = Promise.resolve(api.authorize(request, ...(needed.length > 0 ? [scope(...needed)] : [])))
    await waiting(terminal, `asking ${issuer}`, decision)
  } catch (refusal) {
    if (!(refusal instanceof ResourceServerError)) throw refusal
    error = refusal
  } finally {
    await api.close()
  }
  const assumed = [
    ...(options.issuer === undefined ? ['issuer (--issuer)'] : []),
    ...(options.resource === undefined ? ['API (--resource)'] : [])
  ]
  const report = { issuer, resource, header, payload, assumed, ...(await describe(token, error)) }
  if (options.json) terminal.out(json(report))
  else write(terminal, report)
  if (error === undefined) return 0
  return error.status >= 500 ? 2 : 1
}

interface Report {
  readonly verdict: 'let in' | 'refused' | 'unknown'
  readonly reason: string | null
  readonly expected: unknown
  readonly received: unknown
  readonly hint: string | null
  readonly documentation: string | null
  readonly remedy: string | null
  readonly checks: ReturnType<typeof explainChecks>
  readonly answer: { readonly status: number; readonly headers: Record<string, string>; readonly body: string }
}

async function describe(token: string, error: ResourceServerError | undefined): Promise<Report> {
  const reason = error?.reason ?? null
  const checks = explainChecks({ authorization: `Bearer ${token}` }, reason)
  if (error === undefined) {
    const answer = { status: 200, headers: {}, body: '' }
    const nothing = { expected: null, received: null, hint: null, documentation: null, remedy: null }
    return { verdict: 'let in', reason, ...nothing, checks, answer }
  }
  const response = error.toResponse()
  return {
    verdict: error.status >= 500 ? 'unknown' : 'refused',
    reason,
    expected: error.expected ?? null,
    received: error.received ?? null,
    hint: error.hint,
    documentation: error.documentation,
    remedy: remedyFor(token, error),
    checks,
    answer: { status: error.status, headers: Object.fromEntries(response.headers), body: await response.text() }
  }
}

interface Subject {
  readonly issuer: string
  readonly resource: string
  readonly header: object | undefined
  readonly payload: object | undefined
  /** Options that were not given, and taken from the token. */
  readonly assumed: readonly string[]
}

function write(terminal: Terminal, subject: Subject & Report): void {
  const paint = painter(terminal)
  const say = (line = ''): void => terminal.out(`${line}\n`)
  const {
    issuer,
    resource,
    header,
    payload,
    verdict,
    reason,
    expected,
    received,
    hint,
    documentation,
    remedy,
    checks,
    answer,
    assumed
  } = subject
  const shown = (value: unknown): string => harmless(JSON.stringify(value, null, 2) ?? 'nothing')
  say(`${paint('bold', 'Token')} as the API ${inLine(resource)} sees it, which trusts ${inLine(issuer)}`)
  if (header === undefined || payload === undefined) say('It is opaque: it says nothing by itself.')
  else say(paint('dim', `header ${shown(header)}\npayload ${shown(payload)}\nsignature: not shown`))
  if (assumed.length > 0)
    say(`The ${assumed.join(' and the ')} are its own words: say what your API trusts, and compare.`)
  say(`\n${paint('bold', 'Checks')}`)
  if (checks.length === 0) say('None came to an end: this is no fault of the token.')
  for (const { name, standard, verdict: one } of checks)
    writeFinding(terminal, { verdict: one, name: `${name} ${paint('dim', standard)}` })
  if (reason !== null) {
    say(`\n${paint('bold', 'Why')}  ${reason}`)
    if (expected !== null) say(`expected  ${shown(expected)}`)
    if (received !== null) say(`received  ${shown(received)}`)
    say(inLine(hint ?? ''))
    if (documentation !== null) say(paint('dim', documentation))
    if (remedy !== null) say(`\n${paint('bold', 'What would admit it')}\n${remedy}`)
  }
  say(`\n${paint('bold', 'The answer')}`)
  say(verdict === 'let in' ? 'The request goes on to its handler.' : `HTTP/1.1 ${answer.status}`)
  for (const [name, value] of Object.entries(answer.headers)) say(`${name}: ${value}`)
  if (answer.body !== '') say(`\n${answer.body}`)
}

async function issuerOptions(issuer: string, options: ExplainOptions, terminal: Terminal): Promise<IssuerOptions> {
  const { audience, tokenProfile, jwks } = options
  const keys = jwks === undefined ? undefined : await readKeys(jwks, terminal)
  return {
    issuer,
    ...(audience !== undefined && { audience }),
    ...(tokenProfile !== undefined && { tokenProfile }),
    ...(keys !== undefined && { jwks: keys as never })
  }
}

/** What was written is not repeated: where the name of the file was forgotten, it is a token. */
async function readKeys(path: string, { readFile }: Terminal): Promise<object> {
  const content = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new TypeError(`--jwks: the file cannot be read (${cause.code}).`, { cause })
  })
  const keys = parseObject(content)
  if (!Array.isArray(keys?.['keys']))
    throw new TypeError('--jwks: the file is no key set: {"keys": [...]} (RFC 7517 §5)')
  return keys
}

function audienceOf(payload: Record<string, unknown> | undefined): string | undefined {
  const aud = payload?.['aud']
  const only: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
  // What is no URL can be an audience, and no identifier of an API (RFC 8707 §2).
  return typeof only === 'string' && /^https?:/.test(only) && URL.canParse(only) ? only : undefined
}

/** Stands for an `iss` that no issuer can be: the token is then refused, with the way to accept it in the hint. */
const NO_ISSUER = 'https://issuer.invalid'

function issuerOf(payload: Record<string, unknown> | undefined): string | undefined {
  const iss = text(payload?.['iss'])
  if (iss === undefined || iss.startsWith('https://')) return iss
  const isLoopback = /^http:\/\/(?:localhost|127\.[\d.]+|\[::1\])(?=[:/]|$)/.test(iss)
  return isLoopback ? iss : NO_ISSUER
}

function remedyFor(token: string, { reason, hint, cause }: ResourceServerError): string | null {
  if (token.split('.').length === 5 && reason === 'type')
    return 'Let the client ask for an audience, so that it gets a signed token. Or `decryptionKeys`, where the authorization server encrypts to a key of this API.'
  if (reason === 'audience' && hint.includes('`audienceClaim`'))
    return '`audienceClaim`, where the authorization server never writes `aud`. Wise only if the claim names this API or clients of yours.'
  if (reason.endsWith('_unavailable') && isCertificateError(cause))
    return `The certificate of the server was not accepted (${codeOf(cause)}): give Node the private CA, NODE_EXTRA_CA_CERTS=ca.pem, or a dispatcher with \`connect: { ca }\`.`
  return REMEDIES[reason] ?? null
}

function codeOf(cause: unknown): string {
  const code = (cause as { readonly code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : ''
}

function isCertificateError(cause: unknown): boolean {
  return /CERT|SIGNATURE|ISSUER|ALTNAME/.test(codeOf(cause))
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function decode(segment: string): Record<string, unknown> | undefined {
  return parseObject(Buffer.from(segment, 'base64url').toString())
}
