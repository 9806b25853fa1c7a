/**
 * `explain` shows how a resource server with these settings judges a token, check by check: the expected and the
 * received value, the option that would admit the token and whether to use it, and the API's response. A real resource
 * server decides.
 */

import { parseObject } from '../base/json.js'
import { explainChecks } from '../errors/explain.js'
import { type IssuerOptions, type ResourceRequest, ResourceServerError, resourceServer, scope } from '../index.js'
import { isIssuerIdentifier } from '../issuer/settings.js'
import { type KeySet, readKeySet } from '../jwt/key-set.js'
import { isResourceIdentifier } from '../server/settings.js'
import { causeOf } from './causes.js'
import { readGivenFile, UsageError } from './command.js'
import { isEncrypted, remedyFor } from './remedies.js'
import { harmless, inLine, json, painter, type Terminal, waiting, writeFinding } from './terminal.js'

export interface ExplainOptions {
  readonly token: string
  /** Default: the token's `aud`, if it is a single resource identifier. */
  readonly resource?: string | undefined
  /** Default: the token's `iss`. */
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  readonly tokenProfile?: 'rfc9068' | 'legacy' | undefined
  /** Scopes that the route requires, space-delimited. */
  readonly scope?: string | undefined
  /** Path of a file with the key set. With it, no server is contacted. */
  readonly jwks?: string | undefined
  /** Same as in the options of an issuer. */
  readonly metadataUrl?: string | undefined
  readonly jwksUri?: string | undefined
  /** Path of a file with the bearer token that `jwksUri` requires. */
  readonly jwksTokenFile?: string | undefined
  /** Path of a file with CA certificates in PEM. */
  readonly ca?: string | undefined
  readonly json: boolean
}

/** @returns the exit code: 0 accepted, 1 refused, 2 undecided */
export async function explain(options: ExplainOptions, terminal: Terminal): Promise<0 | 1 | 2> {
  const { token } = options
  const [header, payload] = token.split('.').map(decode)
  const issuer = options.issuer ?? issuerOf(payload)
  if (issuer === undefined)
    throw new UsageError('The token names no issuer (`iss`), so say which: --issuer https://as.example.com')
  const resource = options.resource ?? audienceOf(payload)
  if (resource === undefined)
    throw new UsageError('The token names no single audience (`aud`), so say which API it is for: --resource URL')
  const { keys, unused } = options.jwks === undefined ? {} : await readKeys(options.jwks, terminal)
  const { now, http } = terminal
  const issuers = [issuerOptions(issuer, options, keys)]
  const api = resourceServer({ resource, issuers, now, ...(http && { http }) })
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
    ...(options.issuer === undefined && issuer !== NO_ISSUER ? ['issuer (--issuer)'] : []),
    ...(options.resource === undefined ? ['API (--resource)'] : [])
  ]
  const unusedKeys = unused ?? []
  const subject = { issuer, resource, encrypted: isEncrypted(token), header, payload, assumed, unusedKeys }
  const report = { ...subject, ...(await describe(options, error)) }
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
  /** The reason that the authorization server was not reached. */
  readonly cause: string | null
  readonly remedy: string | null
  readonly checks: ReturnType<typeof explainChecks>
  readonly answer: { readonly status: number; readonly headers: Record<string, string>; readonly body: string }
}

async function describe(options: ExplainOptions, error: ResourceServerError | undefined): Promise<Report> {
  const { token } = options
  const reason = error?.reason ?? null
  const checks = explainChecks({ authorization: `Bearer ${token}` }, reason)
  if (error === undefined) {
    const answer = { status: 200, headers: {}, body: '' }
    const nothing = { expected: null, received: null, hint: null, documentation: null, cause: null, remedy: null }
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
    cause: error.status >= 500 ? (causeOf(error.cause) ?? null) : null,
    remedy: remedyFor(options, error),
    checks,
    answer: { status: error.status, headers: Object.fromEntries(response.headers), body: await response.text() }
  }
}

interface Subject {
  readonly issuer: string
  readonly resource: string
  /** True for five segments: a JWE (RFC 7516 §7.1). */
  readonly encrypted: boolean
  readonly header: object | undefined
  readonly payload: object | undefined
  /** Options that were missing and therefore taken from the token. */
  readonly assumed: readonly string[]
  /** Unusable keys of the file, each with the reason. */
  readonly unusedKeys: readonly string[]
}

function write(terminal: Terminal, subject: Subject & Report): void {
  const paint = painter(terminal)
  const say = (line = ''): void => terminal.out(`${line}\n`)
  const {
    issuer,
    resource,
    encrypted,
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
    assumed,
    unusedKeys,
    cause
  } = subject
  const shown = (value: unknown): string => harmless(JSON.stringify(value, null, 2) ?? 'nothing')
  const trusted = issuer === NO_ISSUER ? 'any issuer that can be configured' : inLine(issuer)
  say(`${paint('bold', 'Token')} as the API ${inLine(resource)} sees it, which trusts ${trusted}`)
  if (encrypted) say('It is encrypted: only the API that has the key can read it.')
  else if (header === undefined || payload === undefined) say('It is opaque: it says nothing by itself.')
  else say(paint('dim', `header ${shown(header)}\npayload ${shown(payload)}\nsignature: not shown`))
  if (assumed.length > 0)
    say(`The ${assumed.join(' and the ')} are its own words: say what your API trusts, and compare.`)
  for (const why of unusedKeys) writeFinding(terminal, { verdict: 'warning', name: inLine(`Not used: ${why}`) })
  say(`\n${paint('bold', 'Checks')}`)
  if (checks.length === 0) say('None came to an end: this is no fault of the token.')
  for (const { name, standard, verdict: one } of checks)
    writeFinding(terminal, { verdict: one, name: `${name} ${paint('dim', standard)}` })
  if (reason !== null) {
    say(`\n${paint('bold', 'Why')}  ${reason}`)
    if (expected !== null) say(`expected  ${shown(expected)}`)
    if (received !== null) say(`received  ${shown(received)}`)
    say(inLine(hint ?? ''))
    if (cause !== null) say(`cause  ${inLine(cause)}`)
    if (documentation !== null) say(paint('dim', documentation))
    if (remedy !== null) say(`\n${paint('bold', 'What would admit it')}\n${remedy}`)
  }
  say(`\n${paint('bold', 'The answer')}`)
  say(verdict === 'let in' ? 'The request goes on to its handler.' : `HTTP/1.1 ${answer.status}`)
  for (const [name, value] of Object.entries(answer.headers)) say(`${name}: ${value}`)
  if (answer.body !== '') say(`\n${answer.body}`)
}

function issuerOptions(issuer: string, options: ExplainOptions, jwks: object | undefined): IssuerOptions {
  const { audience, tokenProfile, metadataUrl, jwksUri, jwksTokenFile } = options
  return {
    issuer,
    ...(audience !== undefined && { audience }),
    ...(tokenProfile !== undefined && { tokenProfile }),
    ...(metadataUrl !== undefined && { metadataUrl }),
    ...(jwksUri !== undefined && { jwksUri }),
    ...(jwksTokenFile !== undefined && { jwksAuth: { tokenFile: jwksTokenFile } }),
    ...(jwks !== undefined && { jwks: jwks as never })
  }
}

/**
 * Reads the keys of a file like a fetched set. Unusable keys are left out and reported, except keys for another use.
 * Messages do not repeat the path: if the file name was forgotten, the argument is a token.
 */
async function readKeys(
  path: string,
  terminal: Terminal
): Promise<{ readonly keys: object; readonly unused: readonly string[] }> {
  const content = await readGivenFile(path, '--jwks', terminal)
  const keys = parseObject(content)?.['keys']
  if (!Array.isArray(keys)) throw new UsageError('--jwks: the file is not a key set: {"keys": [...]} (RFC 7517 §5)')
  const set = readWhole({ keys })
  const unused = [...set.skipped, ...set.broken()]
  const isUsable = (key: unknown): boolean => {
    const alone = readKeySet({ keys: [key] })
    return alone.size > 0 && alone.broken().length === 0
  }
  const usable = keys.filter(isUsable)
  if (usable.length === 0)
    throw new UsageError(
      `--jwks: the file has no key that a token can be verified with${unused.map((why) => `\n- ${why}`).join('')}`
    )
  return { keys: { keys: usable }, unused }
}

function readWhole(document: object): KeySet {
  try {
    return readKeySet(document)
  } catch (error) {
    throw new UsageError(`--jwks: ${(error as Error).message}`, { cause: error })
  }
}

function audienceOf(payload: Record<string, unknown> | undefined): string | undefined {
  const aud = payload?.['aud']
  const only: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
  return isResourceIdentifier(only) ? only : undefined
}

/**
 * Stands for an `iss` that cannot be configured as `issuer`. The token is then refused, and the hint says how to accept
 * it.
 */
const NO_ISSUER = 'https://issuer.invalid'

function issuerOf(payload: Record<string, unknown> | undefined): string | undefined {
  const iss = payload?.['iss']
  if (typeof iss !== 'string') return undefined
  return isIssuerIdentifier(iss) ? iss : NO_ISSUER
}

function decode(segment: string): Record<string, unknown> | undefined {
  return parseObject(Buffer.from(segment, 'base64url').toString())
}
