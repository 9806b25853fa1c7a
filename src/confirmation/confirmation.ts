/**
 * Confirms that a token came from whom it was issued to: `cnf` (RFC 7800 §3.1) × the scheme × what was presented. The
 * only place that makes an {@link Access}.
 *
 * The token's own word decides, whatever a route asks for: a token with `jkt` needs a DPoP proof (RFC 9449 §7), one with
 * `x5t#S256` its client certificate (RFC 8705 §3), one with both needs both, and one bound in a way that nobody here can
 * confirm is of no use.
 */

import type { VerifiedAccessToken } from '../access-token/verified-access-token.js'
import { andThen } from '../base/awaitable.js'
import { InvalidToken } from '../errors/errors.js'
import type {
  Access,
  AccessToken,
  Awaitable,
  Claims,
  Confirmation,
  Credentials,
  HeaderFields,
  ResourceRequest,
  Scheme
} from '../types.js'
import { type CertificateSource, isBoundTo, type ReadCertificate, whyNoCertificate } from './certificate.js'
import type { VerifyProof } from './dpop.js'

export interface ConfirmationSettings {
  readonly readCertificate: ReadCertificate
  /** Where the certificate is read from. */
  readonly certificate: CertificateSource
  readonly verifyProof: VerifyProof
  /** Fires when the token ends or is revoked. */
  readonly signalOf: (accessToken: VerifiedAccessToken) => AbortSignal
  /** `cnf` must have a member of this kind. */
  readonly require: 'certificate' | 'dpop' | 'any' | undefined
}

/** Confirms the sender and returns what a handler may rely on. */
export interface Confirm {
  (accessToken: VerifiedAccessToken, credentials: Credentials, request: ResourceRequest): Awaitable<Access>
  /** The same sender, confirmed already, with facts about the same token that were asked for anew. */
  renew(access: Access, accessToken: VerifiedAccessToken): Access
  /** True for what this very function returned. */
  made(value: unknown): value is Access
}

type Key = Access['confirmedBy'][number]

const OTHER_CERTIFICATE =
  'A client certificate arrived, and the token is bound to another one (`cnf.x5t#S256`): another client uses this token, or the client renewed its certificate after it got the token.'
const NOT_BOUND =
  'The token is not bound as `requireSenderConstrained` asks: the client must get a token that is bound to its key.'
const NO_FIELDS: HeaderFields = Object.freeze({})
const NO_KEYS: readonly Key[] = Object.freeze([])
const BY_DPOP: readonly Key[] = Object.freeze(['dpop'])
const BY_CERTIFICATE: readonly Key[] = Object.freeze(['certificate'])
const BY_BOTH: readonly Key[] = Object.freeze(['dpop', 'certificate'])

export function createConfirm(settings: ConfirmationSettings): Confirm {
  const { readCertificate, certificate: source, verifyProof, signalOf } = settings
  /** Every access of this server holds it, and no other. */
  const owner: Owner = { signalOf }
  const byCertificate: HeaderFields = source.field === undefined ? NO_FIELDS : Object.freeze({ Vary: source.field })

  const confirm = (
    accessToken: VerifiedAccessToken,
    credentials: Credentials,
    request: ResourceRequest
  ): Awaitable<Access> => {
    const { confirmation } = accessToken
    const { scheme } = credentials
    if (scheme === 'Bearer' && confirmation === undefined) return accessToken.access ?? confirmUnbound(accessToken)
    const jkt = confirmation?.['jkt']
    const thumbprint = confirmation?.['x5t#S256']
    requireScheme(accessToken, scheme, jkt)
    if (thumbprint !== undefined) requireCertificate(request, thumbprint)
    else if (settings.require === 'certificate') throw new InvalidToken('certificate_binding', { hint: NOT_BOUND })
    if (jkt === undefined && thumbprint === undefined)
      throw new InvalidToken('confirmation_unknown', { received: Object.keys(confirmation ?? {}) })
    const fields = thumbprint === undefined ? NO_FIELDS : byCertificate
    return jkt === undefined
      ? createAccess(owner, accessToken, scheme, BY_CERTIFICATE, fields)
      : confirmProof(accessToken, credentials, request, thumbprint === undefined ? BY_DPOP : BY_BOTH, fields)
  }

  const requireCertificate = (request: ResourceRequest, thumbprint: unknown): void => {
    const certificate = readCertificate(request)
    if (isBoundTo(certificate, thumbprint)) return
    const hint = certificate === undefined ? whyNoCertificate(source, request) : OTHER_CERTIFICATE
    throw new InvalidToken('certificate_binding', { hint })
  }

  const confirmProof = (
    accessToken: VerifiedAccessToken,
    { scheme, proofs }: Credentials,
    request: ResourceRequest,
    keys: readonly Key[],
    fields: HeaderFields
  ): Awaitable<Access> => {
    const { hash: tokenHash, confirmation } = accessToken
    const jkt = confirmation?.['jkt']
    const expected = {
      method: request.method,
      target: request.url,
      tokenHash,
      jkt: typeof jkt === 'string' ? jkt : '',
      owner: accessToken.owner
    }
    return andThen(verifyProof(proofs, expected), (nonce) => {
      const all = nonce === undefined ? fields : withNonce(fields, nonce, request)
      return keys === BY_DPOP && all === NO_FIELDS
        ? shared(accessToken, scheme, keys)
        : createAccess(owner, accessToken, scheme, keys, all)
    })
  }

  const confirmUnbound = (accessToken: VerifiedAccessToken): Access => {
    requireScheme(accessToken, 'Bearer', undefined)
    if (settings.require !== undefined) throw new InvalidToken('certificate_binding', { hint: NOT_BOUND })
    return shared(accessToken, 'Bearer', NO_KEYS)
  }

  /** The one of all requests whose sender was confirmed in this way: a token has one way, and nothing of a request is in it. */
  const shared = (accessToken: VerifiedAccessToken, scheme: Scheme, keys: readonly Key[]): Access => {
    accessToken.access ??= createAccess(owner, accessToken, scheme, keys, NO_FIELDS)
    return accessToken.access
  }

  return Object.assign(confirm, {
    renew: (access: Access, accessToken: VerifiedAccessToken) =>
      createAccess(owner, accessToken, access.scheme, access.confirmedBy, access.responseHeaders),
    made: (value: unknown): value is Access => ConfirmedAccess.isOf(value, owner)
  })
}

/**
 * The scheme and the token must agree, both ways (RFC 9449 §7.1, §7.2). An introspection answer may say so too, in
 * `token_type` (RFC 9449 §6.2).
 *
 * @throws {InvalidToken}
 */
function requireScheme({ claims }: AccessToken, scheme: Scheme, jkt: unknown): void {
  const { token_type: type } = claims
  const says = typeof type === 'string' ? type.toLowerCase() : undefined
  if (scheme === 'Bearer') {
    if (jkt !== undefined || says === 'dpop') throw new InvalidToken('dpop_downgrade')
    return
  }
  if (jkt === undefined) throw new InvalidToken('dpop_unbound')
  if (says === 'bearer') throw new InvalidToken('claim', { expected: 'token_type: DPoP', received: type })
}

/** An answer with a nonce is for one client (RFC 9449 §8.2), whose script may be of another origin. */
function withNonce(fields: HeaderFields, nonce: string, request: ResourceRequest): HeaderFields {
  const crossOrigin = request.fieldLines('origin').length > 0
  return Object.freeze({
    ...fields,
    'DPoP-Nonce': nonce,
    'Cache-Control': 'no-store',
    ...(crossOrigin && { 'Access-Control-Expose-Headers': 'DPoP-Nonce' })
  })
}

/** True for an access that is there, false for the promise of one: told by what it is, so that nothing else passes for it. */
export function isConfirmed(access: Awaitable<Access | undefined>): access is Access {
  return access instanceof ConfirmedAccess
}

/** True for an {@link Access} made by this package: another one may have put something else under the same name. */
export function isAccess(value: unknown): value is Access {
  return ConfirmedAccess.isOne(value)
}

/** What the accesses of one server have in common. */
type Owner = Pick<ConfirmationSettings, 'signalOf'>

function createAccess(
  owner: Owner,
  accessToken: VerifiedAccessToken,
  scheme: Scheme,
  confirmedBy: readonly Key[],
  responseHeaders: HeaderFields
): Access {
  return Object.freeze(new ConfirmedAccess(owner, accessToken, scheme, confirmedBy, responseHeaders))
}

class ConfirmedAccess implements Access {
  // Private, so that nothing that prints, copies or serializes the object prints the token.
  readonly #accessToken: VerifiedAccessToken
  readonly #owner: Owner
  readonly #responseHeaders: HeaderFields
  readonly scheme: Scheme
  readonly confirmedBy: readonly Key[]
  readonly issuer: string
  readonly subject: string | undefined
  readonly subjectType: 'client' | 'unknown'
  readonly clientId: string | undefined
  readonly audience: readonly string[]
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly issuedAt: number | undefined
  readonly expiresAt: number | undefined
  readonly confirmation: Confirmation | undefined
  readonly claims: Claims

  constructor(
    owner: Owner,
    accessToken: VerifiedAccessToken,
    scheme: Scheme,
    confirmedBy: readonly Key[],
    responseHeaders: HeaderFields
  ) {
    this.#owner = owner
    this.#accessToken = accessToken
    this.#responseHeaders = responseHeaders
    // What every request reads comes first.
    this.scopes = accessToken.scopes
    this.roles = accessToken.roles
    this.scheme = scheme
    this.confirmedBy = confirmedBy
    this.issuer = accessToken.issuer
    this.subject = accessToken.subject
    this.subjectType = accessToken.subjectType
    this.clientId = accessToken.clientId
    this.audience = accessToken.audience
    this.issuedAt = accessToken.issuedAt
    this.expiresAt = accessToken.expiresAt
    this.confirmation = accessToken.confirmation
    this.claims = accessToken.claims
  }

  static isOne(value: unknown): value is ConfirmedAccess {
    return typeof value === 'object' && value !== null && #accessToken in value
  }

  static isOf(value: unknown, owner: object): boolean {
    return ConfirmedAccess.isOne(value) && value.#owner === owner
  }

  /** Of an Access that {@link isAccess} knows: the token it was made of. */
  static accessTokenOf(access: ConfirmedAccess): VerifiedAccessToken {
    return access.#accessToken
  }

  get token(): string {
    return this.#accessToken.token
  }

  get acceptedUntil(): number | undefined {
    const { clockTolerance } = this.#accessToken.verifier
    return this.expiresAt === undefined ? undefined : this.expiresAt + clockTolerance
  }

  get signal(): AbortSignal {
    return this.#owner.signalOf(this.#accessToken)
  }

  get responseHeaders(): HeaderFields {
    return this.#responseHeaders
  }

  hasScope(scope: string): boolean {
    return this.#accessToken.hasScope(scope)
  }
}

/** The verified access token that an access was made of. */
export function accessTokenOf(access: Access): VerifiedAccessToken {
  return ConfirmedAccess.accessTokenOf(access as ConfirmedAccess)
}
