/**
 * `explain` shows how a resource server with these settings judges a token, check by check: the expected and the
 * received value, the option that would admit the token and whether to use it, and the API's response. A real resource
 * server decides.
 *
 * Tests: `test/cli/explain.test.ts`.
 */

import { parseObject } from '../../base/json.js'
import { explainChecks } from '../../errors/explain.js'
import {
  type IssuerOptions,
  type ResourceRequest,
  type ResourceServerError,
  resourceServer,
  scope
} from '../../index.js'
import { createDiscovery } from '../../issuer/discovery.js'
import { type IssuerSettings, isIssuerIdentifier } from '../../issuer/settings.js'
import { createDecrypt } from '../../jwt/decryption.js'
import { isResourceIdentifier, readSettings } from '../../server/settings.js'
import { causeOf } from '../causes.js'
import { UsageError } from '../command.js'
import { createConnections } from '../connections.js'
import { createAsking } from '../doctor/asking.js'
import { introspectionLines } from '../doctor/configuration.js'
import { json, type Terminal, waiting } from '../terminal.js'
import type { Credential } from './credential.js'
import { NO_ISSUER, type Report, type Subject, writeReport } from './explain-report.js'
import { isIdToken } from './id-token.js'
import { type Judge, judgeFromModule } from './judge.js'
import { type GivenKeys, readDecryptionKey, readKeys } from './keys.js'
import { profileEntries } from './profile.js'
import { isEncrypted, remedyFor } from './remedies.js'

export interface ExplainOptions extends Partial<Pick<Credential, 'scheme' | 'proof' | 'method' | 'target'>> {
  readonly token: string
  /** Default: the token's `aud`, if it is a single resource identifier. */
  readonly resource?: string | undefined
  /** Default: the token's `iss`. */
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  readonly tokenProfile?: 'rfc9068' | 'legacy' | undefined
  /** Name of a vendor's profile. */
  readonly profile?: string | undefined
  /** Parameters of the profile, each as `name=value`. */
  readonly parameters?: readonly string[] | undefined
  /** Scopes that the route requires, space-delimited. */
  readonly scope?: string | undefined
  /** Path of a file with the key set. With it, no server is contacted. */
  readonly jwks?: string | undefined
  /** Path of a file with the private key that encrypted tokens are decrypted with. */
  readonly decrypt?: string | undefined
  /** Path of a module that exports the API or its options. */
  readonly config?: string | undefined
  /** Same as in the options of an issuer. */
  readonly metadataUrl?: string | undefined
  readonly jwksUri?: string | undefined
  /** Path of a file with the bearer token that `jwksUri` requires. */
  readonly jwksTokenFile?: string | undefined
  /** Path of a file with CA certificates in PEM. */
  readonly ca?: string | undefined
  readonly json: boolean
}

type Claims = Readonly<Record<string, unknown>> | undefined

/** @returns the exit code: 0 accepted, 1 refused, 2 undecided */
export async function explain(options: ExplainOptions, given: Terminal): Promise<0 | 1 | 2> {
  const connections = await createConnections(options.ca, given)
  try {
    return await judgeToken(options, { ...given, http: connections.http })
  } finally {
    await connections.close()
  }
}

async function judgeToken(options: ExplainOptions, terminal: Terminal): Promise<0 | 1 | 2> {
  const { token } = options
  const decrypted = options.decrypt === undefined ? undefined : await decryptToken(options.decrypt, token, terminal)
  const [header, payload] = (decrypted ?? token).split('.').map(decode)
  const judge =
    options.config === undefined
      ? await judgeFromFlags(options, payload, terminal)
      : await judgeFromModule(options.config, terminal)
  const error = await decide(judge, options, terminal)
  const { issuer, resource, assumed, unusedKeys, settings } = judge
  const subject: Subject = {
    issuer,
    resource,
    encrypted: isEncrypted(token) && decrypted === undefined,
    header,
    payload,
    assumed,
    unusedKeys,
    ...(settings && { settings }),
    idToken: error !== undefined && isIdToken(header, payload)
  }
  const introspection =
    error?.reason === 'malformed' && options.config === undefined
      ? await introspectionFor(issuer, options, terminal)
      : []
  const report = { ...subject, ...(await describe(options, error, subject, introspection)) }
  if (options.json) terminal.out(json(report))
  else writeReport(terminal, report)
  if (error === undefined) return 0
  return error.status >= 500 ? 2 : 1
}

/** @returns the refusal; undefined if the token is accepted */
async function decide(
  { api, issuer }: Judge,
  { token, scheme = 'Bearer', proof, method = 'GET', target = '/', scope: scopes }: ExplainOptions,
  terminal: Terminal
): Promise<ResourceServerError | undefined> {
  const fields: Readonly<Record<string, string | undefined>> = { authorization: `${scheme} ${token}`, dpop: proof }
  const request: ResourceRequest = {
    method,
    url: target,
    fieldLines: (name) => (fields[name] === undefined ? [] : [fields[name]])
  }
  const needed = scopes?.split(' ').filter(Boolean) ?? []
  try {
    const decision = Promise.resolve(api.authorize(request, ...(needed.length > 0 ? [scope(...needed)] : [])))
    await waiting(terminal, `asking ${issuer}`, decision)
    return undefined
  } catch (error) {
    if (!isRefusal(error)) throw error
    return error
  } finally {
    await api.close()
  }
}

/** By shape: the API of a module may use another copy of this package. */
function isRefusal(error: unknown): error is ResourceServerError {
  const { status, reason, toResponse } = Object(error) as Partial<ResourceServerError>
  return typeof status === 'number' && typeof reason === 'string' && typeof toResponse === 'function'
}

async function describe(
  options: ExplainOptions,
  error: ResourceServerError | undefined,
  subject: Subject,
  introspection: readonly string[]
): Promise<Report> {
  const { token, scheme = 'Bearer' } = options
  const reason = error?.reason ?? null
  const checks = explainChecks({ authorization: `${scheme} ${token}` }, reason)
  if (error === undefined) {
    const answer = { status: 200, headers: {}, body: '' }
    const nothing = { expected: null, received: null, hint: null, documentation: null, cause: null, remedy: null }
    return { verdict: 'let in', reason, ...nothing, checks, answer }
  }
  const response = error.toResponse()
  const remedy = remedyFor(options, error, subject)
  return {
    verdict: error.status >= 500 ? 'unknown' : 'refused',
    reason,
    expected: error.expected ?? null,
    received: error.received ?? null,
    hint: error.hint,
    documentation: error.documentation,
    cause: error.status >= 500 ? (causeOf(error.cause) ?? null) : null,
    remedy: introspection.length > 0 ? [remedy, ...introspection].join('\n') : remedy,
    checks,
    answer: { status: error.status, headers: Object.fromEntries(response.headers), body: await response.text() }
  }
}

/** @throws {UsageError} options that no resource server can have, or an issuer or API that nothing names */
async function judgeFromFlags(options: ExplainOptions, payload: Claims, terminal: Terminal): Promise<Judge> {
  const issuer = options.issuer ?? issuerOf(payload)
  if (issuer === undefined)
    throw new UsageError('The token names no issuer (`iss`): add --issuer https://as.example.com')
  const resource = options.resource ?? audienceOf(payload)
  if (resource === undefined)
    throw new UsageError('The token names no single audience (`aud`): add --resource https://api.example.com')
  const { keys, unused }: Partial<GivenKeys> = options.jwks === undefined ? {} : await readKeys(options.jwks, terminal)
  const { now, http } = terminal
  const decryptionKey =
    options.decrypt === undefined
      ? undefined
      : await readDecryptionKey(options.decrypt, decode(options.token.split('.')[0] ?? ''), terminal)
  const api = usable(() =>
    resourceServer({
      log: false,
      resource,
      issuers: issuersFor(issuer, resource, options, keys),
      now,
      ...(decryptionKey && { decryptionKeys: [decryptionKey] }),
      ...(http && { http })
    })
  )
  const assumed = [
    ...(options.issuer === undefined && issuer !== NO_ISSUER ? ['issuer (--issuer)'] : []),
    ...(options.resource === undefined ? ['API (--resource)'] : [])
  ]
  return { api, issuer, resource, assumed, unusedKeys: unused ?? [] }
}

/** Makes a configuration, and turns its list of mistakes into an error of usage. */
function usable<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new UsageError(error.message, { cause: error })
  }
}

function issuersFor(
  issuer: string,
  resource: string,
  options: ExplainOptions,
  jwks: object | undefined
): readonly IssuerOptions[] {
  const { audience, tokenProfile, metadataUrl, jwksUri, jwksTokenFile, profile, parameters = [] } = options
  const entries: readonly IssuerOptions[] =
    profile === undefined ? [{ issuer }] : profileEntries(profile, { issuer, resource, audience, parameters })
  return entries.map((entry) => {
    const { jwksUri: _uri, metadataUrl: _url, ...rest } = entry
    return {
      ...(jwks === undefined ? entry : rest),
      ...(audience !== undefined && profile === undefined && { audience }),
      ...(tokenProfile !== undefined && { tokenProfile }),
      ...(metadataUrl !== undefined && { metadataUrl }),
      ...(jwksUri !== undefined && { jwksUri }),
      ...(jwksTokenFile !== undefined && { jwksAuth: { tokenFile: jwksTokenFile } }),
      ...(jwks !== undefined && { jwks: jwks as never })
    }
  })
}

/** The text in an encrypted token; undefined if the key does not decrypt it, which the resource server then says. */
async function decryptToken(path: string, token: string, terminal: Terminal): Promise<string | undefined> {
  if (!isEncrypted(token))
    throw new UsageError('--decrypt is for an encrypted token, which has five parts. Leave it out.')
  const key = await readDecryptionKey(path, decode(token.split('.')[0] ?? ''), terminal)
  const { decryptionKeys } = usable(() =>
    readSettings({ resource: NO_ISSUER, issuers: [NO_ISSUER], decryptionKeys: [key] })
  )
  return createDecrypt(decryptionKeys)(token).catch(() => undefined)
}

/** The option for opaque tokens, with the authentication that the metadata offer; empty without metadata. */
async function introspectionFor(
  issuer: string,
  { jwks, metadataUrl, token }: ExplainOptions,
  { http }: Terminal
): Promise<readonly string[]> {
  if (jwks !== undefined || token.split('.').length === 3) return []
  const entry = { issuer, ...(metadataUrl !== undefined && { metadataUrl }) }
  const settings = readSettings({ resource: NO_ISSUER, issuers: [entry], ...(http && { http }) })
  const asking = createAsking(settings.http)
  try {
    const [one] = settings.issuers as readonly [IssuerSettings]
    const { document } = await createDiscovery(one, asking.http, () => undefined)()
    return introspectionLines(document)
  } catch {
    return []
  } finally {
    await asking.close()
  }
}

function audienceOf(payload: Claims): string | undefined {
  const aud = payload?.['aud']
  const only: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
  return isResourceIdentifier(only) ? only : undefined
}

function issuerOf(payload: Claims): string | undefined {
  const iss = payload?.['iss']
  if (typeof iss !== 'string') return undefined
  return isIssuerIdentifier(iss) ? iss : NO_ISSUER
}

function decode(segment: string): Claims {
  return parseObject(Buffer.from(segment, 'base64url').toString())
}
