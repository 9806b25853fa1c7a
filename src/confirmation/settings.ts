/**
 * Reads the options about senders (DPoP, certificates) into frozen settings. Does NOT decide about requests.
 *
 * Tests: `test/server/settings.test.ts`.
 */

import { BlockList } from 'node:net'
import { MIN_SECRET_LENGTH, type Problems } from '../base/options/problems.js'
import { world } from '../base/world.js'
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from '../jwt/algorithms.js'
import { memoryOnceStore } from '../sharing/memory-once-store.js'
import type { Shared } from '../sharing/shared.js'
import type { OnceStore } from '../sharing/stores.js'
import type { Scheme } from '../types.js'
import { type CertificateSource, clientCert, readAddresses } from './certificate.js'
import type { DpopSettings } from './dpop.js'

/** Options of a resource server about the senders of tokens. */
export interface SenderOptions {
  /**
   * DPoP (RFC 9449). By default, DPoP-bound tokens are accepted with a proof. `advertise` names the scheme in
   * challenges and metadata. `false` treats the scheme DPoP as unknown.
   */
  readonly dpop?: DpopOptions | false
  /**
   * External URL of this server, such as `https://api.example.com`. The path of a request is appended to it and
   * compared with a DPoP proof's `htu`. A list gives alternatives. Default: the origin of `resource`.
   */
  readonly publicUrl?: string | readonly string[]
  /** Source of the client's certificate behind a proxy that ends TLS. Default: the certificate of the TLS connection. */
  readonly clientCertificate?: ClientCertificateOptions
  /**
   * Refuse tokens that are not bound to a key of the client (RFC 9700 §2.2.1). `true` accepts DPoP keys and
   * certificates, `'dpop'` only tokens bound to a DPoP key (RFC 9449), `'certificate'` only tokens bound to a client
   * certificate (RFC 8705 §3). Default false. The binding of a bound token is confirmed in any case.
   */
  readonly requireSenderConstrained?: boolean | 'dpop' | 'certificate'
}

export interface SenderSettings {
  /** Accepted schemes. Tokens under other schemes are not read. */
  readonly accepted: readonly Scheme[]
  /** Schemes named in challenges. With DPoP, the metadata names it too. */
  readonly advertised: readonly Scheme[]
  readonly dpop: DpopSettings
  /** External URLs without trailing slash, query and fragment. */
  readonly publicUrls: readonly string[]
  readonly certificate: CertificateSource
  /** The binding that every token must have. */
  readonly requireBound: 'certificate' | 'dpop' | 'any' | undefined
}

const DPOP_OPTIONS: Readonly<Record<keyof DpopOptions, true>> = {
  advertise: true,
  algorithms: true,
  proofLifetime: true,
  nonces: true,
  nonceSecret: true,
  replayStore: true
}

const CERTIFICATE_OPTIONS: Readonly<Record<keyof ClientCertificateOptions, true>> = {
  trustedProxies: true,
  field: true,
  parse: true
}

/** Default proof algorithms: those that clients use, with the shortest signatures first. */
const PROOF_ALGORITHMS: readonly SignatureAlgorithm[] = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']

/** @param shared supplies the replay store and the nonce secrets, unless the options do */
export function readSenderSettings(
  options: SenderOptions & { readonly resource: string },
  shared: Shared | undefined,
  problems: Problems
): SenderSettings {
  const { dpop = {} } = options
  const requireBound = readRequireBound(options.requireSenderConstrained, problems)
  if (requireBound === 'dpop' && dpop === false)
    problems.add(
      'dpop',
      "is false, and `requireSenderConstrained: 'dpop'` accepts nothing else",
      'leave one of them out'
    )
  return Object.freeze({
    ...readSchemes(dpop, requireBound, problems),
    dpop: readDpop(dpop === false ? {} : dpop, shared, problems),
    publicUrls: readPublicUrls(options, problems),
    certificate: readCertificateSource(options.clientCertificate, problems),
    requireBound
  })
}

function readRequireBound(value: unknown, problems: Problems): SenderSettings['requireBound'] {
  if (value === undefined || value === false) return undefined
  if (value === true) return 'any'
  if (value === 'dpop' || value === 'certificate') return value
  problems.add(
    'requireSenderConstrained',
    `is ${JSON.stringify(value)}`,
    "it must be true, false, 'dpop' or 'certificate'"
  )
  return undefined
}

function readSchemes(
  dpop: DpopOptions | false,
  requireBound: SenderSettings['requireBound'],
  problems: Problems
): Pick<SenderSettings, 'accepted' | 'advertised'> {
  if (dpop === false) return { accepted: ['Bearer'], advertised: ['Bearer'] }
  const advertise = problems.optional<boolean>(dpop?.advertise, 'dpop.advertise', 'boolean')
  if (requireBound === 'dpop') {
    if (advertise === false)
      problems.add('dpop.advertise', 'is false, and DPoP is the only scheme that is accepted', 'leave it out')
    return { accepted: ['DPoP'], advertised: ['DPoP'] }
  }
  return { accepted: ['Bearer', 'DPoP'], advertised: advertise === true ? ['Bearer', 'DPoP'] : ['Bearer'] }
}

function readDpop(value: unknown, shared: Shared | undefined, problems: Problems): DpopSettings {
  const options = problems.object(value, 'dpop') ? (value as DpopOptions) : {}
  problems.unknownKeys(options, 'dpop.', Object.keys(DPOP_OPTIONS))
  const { replayStore } = options
  if (replayStore !== undefined && typeof replayStore?.add !== 'function') {
    problems.add('dpop.replayStore', 'has no function `add`', 'pass an OnceStore, or leave it out')
  }
  return Object.freeze({
    algorithms: readProofAlgorithms(options.algorithms ?? PROOF_ALGORITHMS, problems),
    proofLifetime: problems.number(options.proofLifetime, 'dpop.proofLifetime', {
      default: 60,
      min: 5,
      max: 300,
      unit: 'seconds'
    }),
    nonces: problems.oneOf(options.nonces, 'dpop.nonces', ['off', 'offered', 'required']) ?? 'off',
    nonceSecrets: readSecrets(options.nonceSecret, shared, problems),
    replayStore: replayStore ?? shared?.replayStore ?? memoryOnceStore()
  })
}

function readProofAlgorithms(value: unknown, problems: Problems): readonly SignatureAlgorithm[] {
  const list = problems.arrayOf<SignatureAlgorithm>(value, 'dpop.algorithms', 'string') ?? []
  if (list.length === 0)
    problems.add('dpop.algorithms', 'names no algorithm', `choose from ${SIGNATURE_ALGORITHMS.join(', ')}`)
  for (const one of list) problems.oneOf(one, 'dpop.algorithms', SIGNATURE_ALGORITHMS)
  return Object.freeze([...new Set(list)])
}

function readSecrets(value: unknown, shared: Shared | undefined, problems: Problems): readonly (string | Uint8Array)[] {
  if (value === undefined) return shared?.nonceSecrets ?? [world.bytes(MIN_SECRET_LENGTH)]
  return problems.secrets(value, 'dpop.nonceSecret')
}

function readPublicUrls(
  { publicUrl, resource }: SenderOptions & { readonly resource: string },
  problems: Problems
): readonly string[] {
  if (publicUrl === undefined) return URL.canParse(resource) ? [new URL(resource).origin] : []
  const list = problems.names(typeof publicUrl === 'string' ? [publicUrl] : publicUrl, 'publicUrl')
  if (list.length === 0 && Array.isArray(publicUrl))
    problems.add('publicUrl', 'is empty', 'name at least one, or leave it out')
  return list.flatMap((one) => {
    const url = problems.url(one, 'publicUrl', 'where this server is from outside, such as https://api.example.com')
    if (!url) return []
    if (url.search || url.hash) problems.add('publicUrl', 'has a query or a fragment', 'remove it')
    return [url.origin + url.pathname.replace(/\/$/, '')]
  })
}

function readCertificateSource(value: unknown, problems: Problems): CertificateSource {
  if (value === undefined) return { field: undefined, parse: clientCert, trustedProxies: new BlockList() }
  const options = problems.object(value, 'clientCertificate') ? (value as Partial<ClientCertificateOptions>) : {}
  problems.unknownKeys(options, 'clientCertificate.', Object.keys(CERTIFICATE_OPTIONS))
  const field = problems.optional<string>(options.field, 'clientCertificate.field', 'string') ?? 'Client-Cert'
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(field))
    problems.add('clientCertificate.field', 'is not a field name', 'use the characters of RFC 9110 §5.6.2')
  return Object.freeze({
    field,
    parse:
      problems.optional<CertificateSource['parse']>(options.parse, 'clientCertificate.parse', 'function') ?? clientCert,
    trustedProxies: readProxies(options.trustedProxies, problems)
  })
}

function readProxies(value: unknown, problems: Problems): BlockList {
  const where = 'clientCertificate.trustedProxies'
  const list = problems.arrayOf<string>(value, where, 'string') ?? []
  // Without trusted proxies, any client could claim any certificate.
  if (list.length === 0 && Array.isArray(value))
    problems.add(where, 'is empty', 'name the proxies that end TLS: 10.0.0.7, 10.0.0.0/8, ::1')
  try {
    return readAddresses(list)
  } catch (error) {
    problems.add(where, `holds ${JSON.stringify((error as Error).message)}`, 'use IP addresses and CIDR ranges')
    return new BlockList()
  }
}

/** Options of DPoP (RFC 9449). */
export interface DpopOptions {
  /**
   * Name the scheme DPoP in challenges, and the proof algorithms in the metadata (RFC 9449 §7.1, §5.1). Clients that
   * use DPoP unasked are served either way. Default false; true with `requireSenderConstrained: 'dpop'`.
   */
  readonly advertise?: boolean
  /**
   * Accepted signature algorithms of proofs, also named in challenges and metadata. Default `ES256 EdDSA Ed25519 PS256
   * RS256`.
   */
  readonly algorithms?: readonly SignatureAlgorithm[]
  /**
   * Maximum age of a proof in seconds, by its `iat` (RFC 9449 §11.1). Default 60, 5 to 300. An `iat` up to 10 seconds
   * in the future is accepted.
   */
  readonly proofLifetime?: number
  /**
   * `'required'`: every proof must have a nonce of this API (RFC 9449 §9). `'offered'`: responses carry nonces, and a
   * nonce in a proof is checked. Proofs without one are accepted, so use `'offered'` for migration only. Default
   * `'off'`.
   */
  readonly nonces?: 'off' | 'offered' | 'required'
  /**
   * Secret that nonces are created with, at least 32 characters, the same in every process of this API. A second one,
   * the previous, still verifies. Default: derived from `shared.secret`, or without it random and known to this process
   * only.
   */
  readonly nonceSecret?: string | readonly [current: string, previous: string]
  /** Remembers used proofs. Default: `shared.store`, or without it this process's memory, `memoryOnceStore()`. */
  readonly replayStore?: OnceStore
}

/**
 * Reads the certificate from a header field that a proxy wrote. Without this option, the TLS connection supplies the
 * certificate.
 */
export interface ClientCertificateOptions {
  /**
   * IP addresses and CIDR ranges of the proxies that write the field. From other peers the field is ignored. The
   * proxies must remove a field of this name that a client sent (RFC 9440 §4).
   */
  readonly trustedProxies: readonly string[]
  /** Name of the field. Default `Client-Cert` (RFC 9440 §2.2). */
  readonly field?: string
  /**
   * Parses the field's single value into DER bytes of the client's certificate. Returning undefined or throwing means
   * no certificate. Default: the format of RFC 9440 §2.2. Ready-made: `urlEncodedPem`, `urlEncodedPemChain`,
   * `plainPem`, `base64Der`, `base64DerChain`, `forwardedClientCert`.
   */
  readonly parse?: (value: string) => Uint8Array | undefined
}
