/** The options about who may send a token (DPoP, certificates) → frozen settings. Nothing is decided here. */
import { randomBytes } from 'node:crypto'
import { BlockList } from 'node:net'
import type { Problems } from '../base/problems.js'
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from '../jwt/algorithms.js'
import { memoryOnceStore } from '../sharing/memory-once-store.js'
import type { Shared } from '../sharing/shared.js'
import type { OnceStore } from '../sharing/stores.js'
import type { Scheme } from '../types.js'
import { type CertificateSource, clientCert, readAddresses } from './certificate.js'
import type { DpopSettings } from './dpop.js'

/** The options of a resource server about who may send a token. */
export interface SenderOptions {
  /**
   * DPoP (RFC 9449). A token that is bound to a DPoP key is accepted with a proof by default; `advertise` names the scheme
   * in challenges and metadata; `false` treats the scheme DPoP as unknown.
   */
  readonly dpop?: DpopOptions | false
  /** Where this server is reached from outside, `https://api.example.com`: what `/` of a request's target is put behind to compare a DPoP proof's `htu`. Several are alternatives. Default: the origin of `resource`. */
  readonly publicUrl?: string | readonly string[]
  /** The client's certificate, where a proxy ends its TLS. Default: the connection's own. */
  readonly clientCertificate?: ClientCertificateOptions
  /**
   * Refuse tokens that are not bound to a key of the client (RFC 9700 §2.2.1): `true` accepts DPoP keys and certificates,
   * `'dpop'` only tokens bound to a DPoP key (RFC 9449), `'certificate'` only tokens bound to a client certificate (RFC 8705 §3).
   * Default false. The binding of a token that has one is always confirmed.
   */
  readonly requireSenderConstrained?: boolean | 'dpop' | 'certificate'
}

export interface SenderSettings {
  /** The schemes under which a token is looked at. */
  readonly accepted: readonly Scheme[]
  /** The schemes that challenges name; DPoP is also in the metadata then. */
  readonly advertised: readonly Scheme[]
  readonly dpop: DpopSettings
  /** Without a slash at the end, query and fragment. */
  readonly publicUrls: readonly string[]
  readonly certificate: CertificateSource
  /** What every token must be bound to. */
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

/** What clients use, the shortest signatures first. */
const PROOF_ALGORITHMS: readonly SignatureAlgorithm[] = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']

const MIN_SECRET_LENGTH = 32

/** @param shared  what proofs and nonces are kept in and made with, unless the options say otherwise */
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
  problems.unknownKeys(options, 'dpop.', Object.keys(DPOP_OPTIONS), {
    required: "requireSenderConstrained: 'dpop', beside `dpop`"
  })
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
  if (value === undefined) return shared?.nonceSecrets ?? [randomBytes(MIN_SECRET_LENGTH)]
  const list = Array.isArray(value) ? (value as unknown[]) : [value]
  const fit = list.filter((one): one is string => typeof one === 'string' && one.length >= MIN_SECRET_LENGTH)
  // Says nothing of what it holds.
  if (fit.length !== list.length || fit.length < 1 || fit.length > 2)
    problems.add(
      'dpop.nonceSecret',
      'is not a secret or a pair of secrets',
      `give a random string of at least ${MIN_SECRET_LENGTH} characters, or [current, previous]`
    )
  return fit
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
  // Without one, anybody could name a certificate.
  if (list.length === 0 && Array.isArray(value))
    problems.add(where, 'is empty', 'name the proxies that end TLS: 10.0.0.7, 10.0.0.0/8, ::1')
  try {
    return readAddresses(list)
  } catch (error) {
    problems.add(where, `holds ${JSON.stringify((error as Error).message)}`, 'use IP addresses and CIDR ranges')
    return new BlockList()
  }
}

/** DPoP (RFC 9449). */
export interface DpopOptions {
  /** Name the scheme DPoP in challenges, and proof algorithms in the metadata (RFC 9449 §7.1, §5.1). A client that knows of DPoP anyway is served either way. Default false; true with `requireSenderConstrained: 'dpop'`. */
  readonly advertise?: boolean
  /** What proofs may be signed with, the same in challenges and in the metadata. Default `ES256 EdDSA Ed25519 PS256 RS256`. */
  readonly algorithms?: readonly SignatureAlgorithm[]
  /** Seconds since its `iat` for which a proof is fresh (RFC 9449 §11.1). Default 60, 5 to 300. 10 s ahead are forgiven. */
  readonly proofLifetime?: number
  /** `'required'`: every proof must have a nonce of ours (RFC 9449 §9). `'offered'`: nonces are handed out, and checked where a proof has one, which protects nobody yet: for changing over. Default `'off'`. */
  readonly nonces?: 'off' | 'offered' | 'required'
  /** What nonces are made with, at least 32 characters: the same for every process of this API. A second one, the one before, is still accepted. Default: random, known to this process alone, or derived from `shared.secret`. */
  readonly nonceSecret?: string | readonly [current: string, previous: string]
  /** Remembers which proofs were used. Default: `shared.store`, else this process's memory, `memoryOnceStore()`. */
  readonly replayStore?: OnceStore
}

/**
 * Reads the certificate from a field that a proxy wrote. Without it, the certificate is the TLS connection's.
 */
export interface ClientCertificateOptions {
  /** IP addresses and CIDR ranges of the proxies that write the field. From anybody else it is not read. They must remove a field of this name that a client sent (RFC 9440 §4). */
  readonly trustedProxies: readonly string[]
  /** Name of the field. Default `Client-Cert` (RFC 9440 §2.2). */
  readonly field?: string
  /** The field's one value → DER of the client's certificate; undefined or an exception: none. Default: RFC 9440 §2.2. Ready-made: `urlEncodedPem`, `urlEncodedPemChain`, `plainPem`, `base64Der`, `base64DerChain`, `forwardedClientCert`. */
  readonly parse?: (value: string) => Uint8Array | undefined
}
