/**
 * Reads the option `introspection` of an issuer into frozen settings (RFC 7662, RFC 9701), with its defaults and checks.
 *
 * Does NOT derive settings from metadata, and does NOT fetch anything.
 *
 * Tests: `test/server/settings.test.ts`.
 */
import type { Problems } from '../base/options/problems.js'
import type { InsecureHosts } from '../base/reach.js'
import type { Claims } from '../types.js'
import type { ClientAuth } from './client-auth.js'
import { usesClientCertificate } from './client-auth.js'

export interface IntrospectionSettings {
  readonly endpoint: string | undefined
  readonly clientId: string
  readonly auth: ClientAuth
  /** Seconds. */
  readonly cacheFor: number
  readonly allowMissingAudience: boolean
  /** `''`: every opaque token that does not begin with another issuer's prefix. */
  readonly tokenPrefix: string
  /** Request a signed answer and accept no other. */
  readonly signedResponse: boolean
  /** A further accepted `aud` of signed answers, besides `clientId` and the resource. */
  readonly responseAudience: string | undefined
  /** undefined: RFC 7662. */
  readonly dialect: IntrospectionDialect | undefined
}

/** Options of the server that options of an issuer depend on. */
export interface Means {
  /** True if `decryptionKeys` are configured. */
  readonly decrypts: boolean
  /** True if `http.dispatcher` is configured: only a dispatcher can present a client certificate. */
  readonly dispatches: boolean
  /** `http.insecureHosts`. */
  readonly insecureHosts: InsecureHosts
}

const OPTIONS: Readonly<Record<keyof IntrospectionOptions, true>> = {
  endpoint: true,
  clientId: true,
  auth: true,
  cacheFor: true,
  allowMissingAudience: true,
  tokenPrefix: true,
  signedResponse: true,
  responseAudience: true,
  dialect: true
}

/** @param path the option's place, for messages: `issuers[0].introspection` */
export function readIntrospection(
  options: IntrospectionOptions | undefined,
  path: string,
  problems: Problems,
  { dispatches, insecureHosts }: Means
): IntrospectionSettings | undefined {
  if (options === undefined || !problems.object(options, path)) return undefined
  problems.unknownKeys(options, `${path}.`, Object.keys(OPTIONS))
  const { endpoint, clientId, auth, cacheFor, allowMissingAudience, tokenPrefix }: IntrospectionOptions = options
  if (endpoint !== undefined) problems.place(endpoint, `${path}.endpoint`, 'an https URL', insecureHosts)
  if (typeof auth !== 'function') {
    // The method is not derived from the metadata: the user registered this client and knows it (RFC 8414 §2).
    problems.add(
      `${path}.auth`,
      auth === undefined ? 'is missing' : 'is not a client authentication',
      'say how this API authenticates: clientSecretBasic(…), privateKeyJwt(…), bearerToken(…), noClientAuth()'
    )
  } else if (usesClientCertificate(auth)) requireCertificateMeans(options, path, problems, dispatches)
  return Object.freeze({
    endpoint,
    clientId: problems.optional<string>(clientId, `${path}.clientId`, 'string') ?? '',
    auth,
    cacheFor: problems.number(cacheFor, `${path}.cacheFor`, { default: 30, min: 0, max: 300, unit: 'seconds' }),
    allowMissingAudience:
      problems.optional<boolean>(allowMissingAudience, `${path}.allowMissingAudience`, 'boolean') ?? false,
    tokenPrefix: problems.optional<string>(tokenPrefix, `${path}.tokenPrefix`, 'string') ?? '',
    ...readSignedResponse(options, path, problems)
  })
}

/** `tlsClientAuth()` needs an identifier for the form, and a connection whose certificate proves it (RFC 8705 §2). */
function requireCertificateMeans(
  { clientId }: IntrospectionOptions,
  path: string,
  problems: Problems,
  dispatches: boolean
): void {
  if (!clientId) problems.add(`${path}.clientId`, 'is missing', '`tlsClientAuth()` sends it (RFC 8705 §2)')
  if (!dispatches)
    problems.add(
      `${path}.auth`,
      'is `tlsClientAuth()` without `http.dispatcher`',
      'pass a new Agent({ connect: { cert, key } }) of undici there: it presents the certificate'
    )
}

function readSignedResponse(
  options: IntrospectionOptions,
  path: string,
  problems: Problems
): Pick<IntrospectionSettings, 'signedResponse' | 'responseAudience' | 'dialect'> {
  const { signedResponse, responseAudience, dialect } = options
  const signed = problems.optional<boolean>(signedResponse, `${path}.signedResponse`, 'boolean') ?? false
  if (responseAudience !== undefined) {
    problems.names([responseAudience], `${path}.responseAudience`)
    if (!signed) problems.add(`${path}.responseAudience`, 'is never read without `signedResponse`', 'leave it out')
  }
  if (dialect !== undefined && signed)
    problems.add(`${path}.dialect`, 'contradicts `signedResponse`', 'signed answers are RFC 9701’s: leave one out')
  return { signedResponse: signed, responseAudience, dialect: readDialect(dialect, `${path}.dialect`, problems) }
}

function readDialect(dialect: unknown, path: string, problems: Problems): IntrospectionDialect | undefined {
  if (dialect === undefined || !problems.object(dialect, path)) return undefined
  problems.unknownKeys(dialect, `${path}.`, ['form', 'read'])
  for (const name of ['form', 'read'] as const) {
    if (typeof dialect[name] !== 'function')
      problems.add(`${path}.${name}`, 'is not a function', 'set both `form` and `read`')
  }
  const theirs = dialect as unknown as IntrospectionDialect
  return Object.freeze({
    form: (token: string) => theirs.form(token),
    read: (status: number, body: unknown) => theirs.read(status, body)
  })
}

/** Introspection of opaque tokens at one issuer (RFC 7662). */
export interface IntrospectionOptions {
  /** `https` URL of the endpoint. Default: `introspection_endpoint` of the issuer's metadata. */
  readonly endpoint?: string
  /** Our client identifier at the authorization server, for the methods of `auth` that need one. */
  readonly clientId?: string
  /** How we authenticate (RFC 7662 §2.1): `clientSecretBasic(…)`, `privateKeyJwt(…)`, `bearerToken(…)`, … */
  readonly auth: ClientAuth
  /** Seconds for which an `active: true` answer is reused, never past its `exp`. A revocation may go unseen for this time. Default 30, 0 to 300. */
  readonly cacheFor?: number
  /**
   * Accept answers without `aud` (RFC 7662 §2.2 makes it optional). Set it only if `auth` is itself limited to this resource
   * and the server reports only access tokens as active. Default false.
   *
   * An answer whose `token_type`, `token_use` or `typ` names another kind of token is refused. It does NOT recognize a
   * refresh token if the answer does not state the kind (oidc-provider) or states `Bearer` (Doorkeeper).
   */
  readonly allowMissingAudience?: boolean
  /** The text that opaque tokens of this issuer begin with. Needed if several issuers introspect: each token is sent to exactly one. */
  readonly tokenPrefix?: string
  /** Request a signed answer (RFC 9701) and accept no other: the signature proves later what the server answered. Default false. */
  readonly signedResponse?: boolean
  /** `aud` of signed answers, if the server writes neither `clientId` nor `resource` there (RFC 9701 §5). */
  readonly responseAudience?: string
  /** The request and answer of a server that does not implement RFC 7662. Default: RFC 7662. */
  readonly dialect?: IntrospectionDialect
}

/** Replaces RFC 7662 for a server that does not implement it. */
export interface IntrospectionDialect {
  /** The fields of the form that asks about a token. */
  readonly form: (token: string) => Readonly<Record<string, string>>
  /**
   * Translates the answer to RFC 7662: returns its members, without `active`; undefined for a token that is not active.
   *
   * @param status HTTP status: 200, or any from 300 to 499 except 408 and 429
   * @param body    the JSON of the answer, or undefined if it is not JSON
   * @throws any error if the answer says neither: the request gets a 500, because it is a misconfiguration of ours
   */
  readonly read: (status: number, body: unknown) => Claims | undefined
}
