/**
 * The option `introspection` of an issuer → frozen settings (RFC 7662, RFC 9701): every default and error of it.
 * Nothing is guessed from metadata, and nothing is fetched.
 */
import type { Problems } from '../base/problems.js'
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
  /** `''`: every opaque token that no other issuer's prefix claims. */
  readonly tokenPrefix: string
  /** Ask for a signed answer and take no other. */
  readonly signedResponse: boolean
  /** What else than `clientId` and the resource a signed answer may be for. */
  readonly responseAudience: string | undefined
  /** undefined: RFC 7662. */
  readonly dialect: IntrospectionDialect | undefined
}

/** What the rest of the options offers, for those of an issuer that build on it. */
export interface Means {
  /** There are `decryptionKeys`. */
  readonly decrypts: boolean
  /** There is an `http.dispatcher`: the only thing that can present a client certificate. */
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

/** @param path where the option stands, for messages: `issuers[0].introspection` */
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
    // No guess from the metadata: how we authenticate is ours to know (RFC 8414 §2).
    problems.add(
      `${path}.auth`,
      'is missing',
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

/** `tlsClientAuth()` says who we are in the form, and proves it by the certificate of the connection (RFC 8705 §2). */
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
  /** `https` URL of the endpoint; default: the issuer's `introspection_endpoint` metadata. */
  readonly endpoint?: string
  /** Our client identifier at the authorization server, for the methods of `auth` that need one. */
  readonly clientId?: string
  /** How we authenticate (RFC 7662 §2.1): `clientSecretBasic(…)`, `privateKeyJwt(…)`, `bearerToken(…)`, … */
  readonly auth: ClientAuth
  /** Seconds an `active: true` answer is reused, never past its `exp`: the time a revocation may go unseen. Default 30, 0 to 300. */
  readonly cacheFor?: number
  /**
   * Accept answers without `aud` (RFC 7662 §2.2 makes it optional). Only where `auth` is itself limited to this resource, and
   * the server calls nothing but access tokens active. Default false.
   *
   * An answer whose `token_type`, `token_use` or `typ` names another kind of token is refused. It does NOT tell a refresh
   * token apart where the answer says nothing of the kind (oidc-provider), or calls it `Bearer` (Doorkeeper).
   */
  readonly allowMissingAudience?: boolean
  /** Opaque tokens of this issuer begin with this text. Needed where several issuers introspect: each token goes to exactly one. */
  readonly tokenPrefix?: string
  /** Ask for a signed answer (RFC 9701) and take no other: what a server once said can then be proved. Default false. */
  readonly signedResponse?: boolean
  /** `aud` of signed answers, where the server names neither `clientId` nor `resource` there (RFC 9701 §5). */
  readonly responseAudience?: string
  /** How a server is asked that has something else than RFC 7662. Default: RFC 7662. */
  readonly dialect?: IntrospectionDialect
}

/** What stands for RFC 7662 where a server does not speak it. */
export interface IntrospectionDialect {
  /** The fields of the form that asks about a token. */
  readonly form: (token: string) => Readonly<Record<string, string>>
  /**
   * The answer in RFC 7662's words: its members, without `active`; undefined for a token that is not active.
   *
   * @param status  HTTP status: 200, or any from 300 to 499 but 408 and 429
   * @param body    the JSON of the answer, or undefined where it is none
   * @throws where the answer is neither: it becomes a 500, our misconfiguration
   */
  readonly read: (status: number, body: unknown) => Claims | undefined
}
