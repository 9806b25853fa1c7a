/**
 * Confirms that the client that sent a token is the one it was issued to, from `cnf` (RFC 7800 §3.1), the scheme, and
 * the presented proof or certificate. Only this file creates an {@link Access}.
 *
 * The token's binding decides, whatever a route requires. A token with `jkt` needs a DPoP proof (RFC 9449 §7), one with
 * `x5t#S256` its client certificate (RFC 8705 §3), and one with both needs both. A token with only unknown bindings is
 * refused.
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
  /** Source of the certificate. */
  readonly certificate: CertificateSource
  readonly verifyProof: VerifyProof
  /** Returns the signal that fires when the token ends or is revoked. */
  readonly signalOf: (accessToken: VerifiedAccessToken) => AbortSignal
  /** The kind of binding that every token's `cnf` must have. */
  readonly require: 'certificate' | 'dpop' | 'any' | undefined
}

/** Confirms the sender and returns the access for handlers. */
export interface Confirm {
  (accessToken: VerifiedAccessToken, credentials: Credentials, request: ResourceRequest): Awaitable<Access>
  /** Creates an access with fresh facts about the same token. The sender is not confirmed again. */
  renew(access: Access, accessToken: VerifiedAccessToken): Access
  /** True for an access that this instance created. */
  made(value: unknown): value is Access
}

type Key = Access['confirmedBy'][number]

const OTHER_CERTIFICATE =
  'The client presented a certificate, but the token is bound to another one (`cnf.x5t#S256`): another client uses this token, or the client renewed its certificate after it got the token.'
const NOT_BOUND =
  'The token is not bound as `requireSenderConstrained` requires: the client must get a token that is bound to its key.'
const NO_FIELDS: HeaderFields = Object.freeze({})
const NO_KEYS: readonly Key[] = Object.freeze([])
const BY_DPOP: readonly Key[] = Object.freeze(['dpop'])
const BY_CERTIFICATE: readonly Key[] = Object.freeze(['certificate'])
const BY_BOTH: readonly Key[] = Object.freeze(['dpop', 'certificate'])

export function createConfirm(settings: ConfirmationSettings): Confirm {
  const { readCertificate, certificate: source, verifyProof, signalOf } = settings
  /** Identity mark in every access of this server: it tells them from another server's. */
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

  /**
   * The access shared by all requests with this token. A token has one way of confirmation, and the access holds
   * nothing of a request.
   */
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
 * Requires that scheme and token agree, both ways (RFC 9449 §7.1, §7.2). An introspection answer can also name the
 * scheme, in `token_type` (RFC 9449 §6.2).
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

/**
 * A response with a nonce is for one client only (RFC 9449 §8.2). Its script may run on another origin, so the field is
 * exposed.
 */
function withNonce(fields: HeaderFields, nonce: string, request: ResourceRequest): HeaderFields {
  const crossOrigin = request.fieldLines('origin').length > 0
  return Object.freeze({
    ...fields,
    'DPoP-Nonce': nonce,
    'Cache-Control': 'no-store',
    ...(crossOrigin && { 'Access-Control-Expose-Headers': 'DPoP-Nonce' })
  })
}

/** Tells an Access from a promise of one, by class, so nothing else passes. */
export function isConfirmed(access: Awaitable<Access | undefined>): access is Access {
  return access instanceof ConfirmedAccess
}

/**
 * True for an {@link Access} made by this package. Other middleware may have stored a different object under the same
 * name.
 */
export function isAccess(value: unknown): value is Access {
  return ConfirmedAccess.isOne(value)
}

/** State shared by all accesses of one server. */
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
  // Private, so that printing, copying or serializing the object does not reveal the token.
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
    // Properties that every request reads come first.
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

  /** The token of an Access for which {@link isAccess} is true. */
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

/** The verified access token behind an access. */
export function accessTokenOf(access: Access): VerifiedAccessToken {
  return ConfirmedAccess.accessTokenOf(access as ConfirmedAccess)
}
