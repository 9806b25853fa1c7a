/**
 * Reads the client's certificate (RFC 8705 §3, RFC 9440) from the TLS connection, or from a field that a trusted proxy
 * wrote. Compares it with the certificate that an access token is bound to.
 *
 * Does NOT validate the certificate chain, names or dates: the binding in the token identifies the certificate (RFC
 * 8705 §6.2).
 */
import { timingSafeEqual, X509Certificate } from 'node:crypto'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { isPromise } from '../base/awaitable.js'
import { sha256 } from '../jwt/key-set.js'
import type { ResourceRequest } from '../types.js'

export interface CertificateSource {
  /** Field to read; undefined reads the TLS connection's certificate. */
  readonly field: string | undefined
  readonly parse: (value: string) => Uint8Array | undefined
  readonly trustedProxies: BlockList
}

/** DER bytes of the client certificate of a request, or undefined. */
export type ReadCertificate = (request: ResourceRequest) => Uint8Array | undefined

/** Maximum characters of the field's value: DER in base64, or percent-encoded PEM. */
const MAX_FIELD_LENGTH = 32_768

export function createReadCertificate(source: CertificateSource): ReadCertificate {
  const { parse, trustedProxies } = source
  const field = source.field?.toLowerCase()
  if (field === undefined) return (request) => nonEmpty(request.certificate?.())
  return (request) => {
    if (!isTrusted(request.peerAddress, trustedProxies)) return undefined
    const lines = request.fieldLines(field)
    const [value] = lines
    // A second line was not written by the proxy.
    if (value === undefined || lines.length > 1 || value.length > MAX_FIELD_LENGTH) return undefined
    try {
      const bytes: unknown = parse(value)
      // `parse` must be synchronous. The rejection of an async function is handled here, so it cannot end the process.
      if (isPromise(bytes)) bytes.then(undefined, () => undefined)
      return nonEmpty(bytes)
    } catch {
      return undefined
    }
  }
}

/**
 * Tells the operator why {@link createReadCertificate} found no certificate in this request. Contains no data of the
 * request.
 *
 * @param request a request in which no certificate was found
 */
export function whyNoCertificate({ field, trustedProxies }: CertificateSource, request: ResourceRequest): string {
  if (field === undefined)
    return 'The TLS connection has no client certificate. A server that terminates TLS itself needs `requestCert: true, rejectUnauthorized: false`; behind a proxy that terminates TLS, configure `clientCertificate`.'
  if (!isTrusted(request.peerAddress, trustedProxies))
    return `The request came from an address that is not in \`clientCertificate.trustedProxies\`, so the field \`${field}\` was not read.`
  const [value, another] = request.fieldLines(field.toLowerCase())
  if (value === undefined)
    return `The request has no field \`${field}\`: the client presented no certificate to the proxy, or the proxy does not set the field.`
  if (another !== undefined)
    return `The request has more than one field \`${field}\`: the proxy must replace a field that the client sends.`
  if (value.length > MAX_FIELD_LENGTH)
    return `The field \`${field}\` is longer than ${MAX_FIELD_LENGTH} characters: let the proxy send only the client’s own certificate.`
  return `The field \`${field}\` arrived, but \`clientCertificate.parse\` returned nothing: choose the parser for the format that your proxy writes (docs/sender-constrained.md).`
}

/** True if the token's `cnf["x5t#S256"]` names this certificate (RFC 8705 §3.1). */
export function isBoundTo(certificate: Uint8Array | undefined, thumbprint: unknown): boolean {
  if (certificate === undefined || typeof thumbprint !== 'string') return false
  const [expected, actual] = [Buffer.from(thumbprint), Buffer.from(sha256(certificate))]
  return expected.length === actual.length && timingSafeEqual(expected, actual)
}

function nonEmpty(bytes: unknown): Uint8Array | undefined {
  return bytes instanceof Uint8Array && bytes.length > 0 ? bytes : undefined
}

function isTrusted(address: string | undefined, proxies: BlockList): boolean {
  if (address === undefined) return false
  // A server that listens on IPv6 sees IPv4 peers as IPv4-mapped addresses.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(plain) !== 0 && proxies.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}

/**
 * Parses addresses (`10.0.0.7`, `::1`) and ranges (`10.0.0.0/8`) into a list.
 *
 * @throws {RangeError} the first entry that is neither
 */
export function readAddresses(addresses: readonly string[]): BlockList {
  const list = new BlockList()
  for (const one of addresses) {
    const [address = '', prefix, ...rest] = one.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    const bits = family === 'ipv6' ? 128 : 32
    // A prefix of 0 would trust every address as a proxy.
    const inRange = prefix === undefined || (/^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) <= bits)
    if (isIP(address) === 0 || !inRange || rest.length > 0) throw new RangeError(one)
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return list
}

/** `Client-Cert` is one byte sequence, `:base64:`, without list or parameters (RFC 9440 §2.2, RFC 8941 §3.3.5). */
const BYTE_SEQUENCE = /^:((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?):$/

/** Parses the value of a `Client-Cert` field (RFC 9440 §2.2). */
export function clientCert(value: string): Uint8Array | undefined {
  const base64 = BYTE_SEQUENCE.exec(value.trim())?.[1]
  return base64 === undefined ? undefined : toDer(Buffer.from(base64, 'base64'))
}

/**
 * For `clientCertificate.parse`: one PEM certificate, percent-encoded. nginx: `proxy_set_header X-Client-Cert
 * $ssl_client_escaped_cert`.
 */
export function urlEncodedPem(value: string): Uint8Array | undefined {
  return readPem(decodeURIComponent(value))
}

/**
 * For `clientCertificate.parse`: a chain of PEM certificates, percent-encoded, the client's own first, as TLS sends
 * them (RFC 8446 §4.4.2). AWS ALB in passthrough mode: `X-Amzn-Mtls-Clientcert`.
 *
 * Does NOT decode the certificates after the first.
 */
export function urlEncodedPemChain(value: string): Uint8Array | undefined {
  const [first, ...rest] = decodeURIComponent(value).split(/(?<=-----END CERTIFICATE-----)(?=\s*\S)/)
  return first !== undefined && rest.every((one) => PEM.test(one)) ? readPem(first) : undefined
}

/**
 * For `clientCertificate.parse`: one PEM certificate with its line breaks replaced by spaces or tabs, or
 * percent-encoded. Apache: `RequestHeader set X-Client-Cert "%{SSL_CLIENT_CERT}s"`. Azure Application Gateway:
 * `{var_client_certificate}`.
 */
export function plainPem(value: string): Uint8Array | undefined {
  return value.includes('%') ? urlEncodedPem(value) : readPem(value)
}

/** For `clientCertificate.parse`: one DER certificate in base64. HAProxy: `%[ssl_c_der,base64]`. Azure App Service: `X-ARR-ClientCert`. */
export function base64Der(value: string): Uint8Array | undefined {
  return BASE64.test(value.trim()) ? toDer(Buffer.from(value.trim(), 'base64')) : undefined
}

/**
 * For `clientCertificate.parse`: DER certificates in base64, separated by commas, the client's own first. Traefik's
 * `passTLSClientCert` with `pem: true`; older versions percent-encode each.
 *
 * Does NOT decode the certificates after the first.
 */
export function base64DerChain(value: string): Uint8Array | undefined {
  const all = value.split(',').map((one) => (one.includes('%') ? decodeURIComponent(one) : one).trim())
  return all.every((one) => BASE64.test(one)) ? base64Der(all[0] as string) : undefined
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/**
 * For `clientCertificate.parse`: Envoy's `x-forwarded-client-cert` with one element. Reads its `Cert` key, or without
 * it the first certificate of its `Chain`. Set `forward_client_cert_details: SANITIZE_SET` and
 * `set_current_client_cert_details: { cert: true }`.
 */
export function forwardedClientCert(value: string): Uint8Array | undefined {
  const pairs = readElement(value)
  const [cert, another] = pairs?.filter(({ key }) => key === 'cert') ?? []
  if (another !== undefined) return undefined
  if (cert !== undefined) return urlEncodedPem(cert.value)
  const [chain, second] = pairs?.filter(({ key }) => key === 'chain') ?? []
  return chain === undefined || second !== undefined ? undefined : urlEncodedPemChain(chain.value)
}

/** `key=value` or `key="value"`, to the next `;` or the end. */
const PAIR = /\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*))\s*(?:;|$)/y

/**
 * Reads the pairs of one element. Returns undefined for anything else. Several elements come from several proxies, or
 * from a client that wrote the first one, and no setting says which to trust. A value that is not understood completely
 * is discarded: a client could leave a quote open to hide the text that the proxy appends.
 */
function readElement(value: string): readonly { readonly key: string; readonly value: string }[] | undefined {
  const pairs: { key: string; value: string }[] = []
  const pair = new RegExp(PAIR)
  while (pair.lastIndex < value.length) {
    const match = pair.exec(value)
    if (match === null) return undefined
    const [, key = '', quoted, plain = ''] = match
    pairs.push({ key: key.toLowerCase(), value: quoted ?? plain })
  }
  return pairs
}

const PEM = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/

/** Requires exactly one certificate: with two, the proxy and this server could pick different ones. */
function readPem(text: string): Uint8Array | undefined {
  const base64 = PEM.exec(text)?.[1]
  return base64 === undefined ? undefined : toDer(Buffer.from(base64, 'base64'))
}

/** Returns the bytes if they are exactly one certificate, without trailing data. */
function toDer(bytes: Buffer): Uint8Array | undefined {
  const { raw } = new X509Certificate(bytes)
  return raw.equals(bytes) ? bytes : undefined
}
