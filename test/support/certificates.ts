/**
 * Certificates for tests, written by hand in DER with `node:crypto` alone: a certification authority of the test's own,
 * what it issues to servers and clients (RFC 5280 §4.1), and a certificate that nobody vouches for.
 *
 * ```ts
 * const authority = createCertificateAuthority()
 * const server = createServer({ ...authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] }) })
 * const agent = new Agent({ connect: { ca: authority.cert, ...authority.issue({ commonName: 'api', client: true }) } })
 * ```
 */
import { generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto'

/** Both as PEM. */
export interface CertificateAndKey {
  readonly key: string
  readonly cert: string
}

export interface CertificateRequest {
  readonly commonName: string
  /** DNS names and IP addresses, for `subjectAltName`. */
  readonly sans?: readonly string[]
  /** For clients, not for servers (`extendedKeyUsage`). */
  readonly client?: boolean
}

export interface CertificateAuthority {
  /** PEM of the authority's own certificate: what `ca` wants. */
  readonly cert: string
  /** A new P-256 key and a certificate for it, good from 2020 to 2049. */
  issue(request: CertificateRequest): CertificateAndKey
}

/** A certification authority that exists for as long as the test holds it. */
export function createCertificateAuthority(commonName = 'Test authority'): CertificateAuthority {
  const { publicKey, privateKey } = keyPair()
  const issuer = distinguishedName(commonName)
  const authority = { issuer, privateKey, keyId: keyIdentifier(publicKey) }
  let serial = 1
  const own = certificate({
    ...authority,
    serial: serial++,
    subject: issuer,
    publicKey,
    extensions: [basicConstraints(true), keyUsage('keyCertSign'), subjectKeyIdentifier(publicKey)]
  })
  return {
    cert: own,
    issue: ({ commonName: subject, sans = [], client = false }) => {
      const pair = keyPair()
      const cert = certificate({
        ...authority,
        serial: serial++,
        subject: distinguishedName(subject),
        publicKey: pair.publicKey,
        extensions: [
          basicConstraints(false),
          keyUsage('digitalSignature'),
          extendedKeyUsage(client),
          subjectKeyIdentifier(pair.publicKey),
          authorityKeyIdentifier(authority.keyId),
          ...(sans.length > 0 ? [subjectAltName(sans)] : [])
        ]
      })
      return { key: pem(pair.privateKey), cert }
    }
  }
}

/** A certificate that nobody vouches for (RFC 8705 §2.2), with its key. */
export function createSelfSignedCertificate(commonName = 'localhost'): CertificateAndKey {
  const { publicKey, privateKey } = keyPair()
  const name = distinguishedName(commonName)
  const cert = certificate({ issuer: name, subject: name, serial: 1, publicKey, privateKey, extensions: [] })
  return { key: pem(privateKey), cert }
}

function keyPair(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

function pem(privateKey: KeyObject): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

interface ToBeSigned {
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly serial: number
  readonly publicKey: KeyObject
  /** Of the issuer. */
  readonly privateKey: KeyObject
  readonly extensions: readonly Buffer[]
}

/** `Certificate` of RFC 5280 §4.1, version 3, or 1 where there is no extension. */
function certificate({ issuer, subject, serial, publicKey, privateKey, extensions }: ToBeSigned): string {
  const validity = sequence(der(UTC_TIME, '200101000000Z'), der(UTC_TIME, '491231235959Z'))
  const toBeSigned = sequence(
    ...(extensions.length > 0 ? [der(context(0), integer(2))] : []),
    integer(serial),
    ECDSA_WITH_SHA256,
    issuer,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [der(context(3), sequence(...extensions))] : [])
  )
  const signature = der(BIT_STRING, NO_UNUSED_BITS, sign('sha256', toBeSigned, privateKey))
  const bytes = sequence(toBeSigned, ECDSA_WITH_SHA256, signature)
  const lines = (bytes.toString('base64').match(/.{1,64}/g) as string[]).join('\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

const BOOLEAN = 0x01
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_IDENTIFIER = 0x06
const UTF8_STRING = 0x0c
const UTC_TIME = 0x17
const SEQUENCE = 0x30
const SET = 0x31
/** The tag of an explicitly tagged field. */
const context = (number: number): number => 0xa0 + number
const NO_UNUSED_BITS = Buffer.from([0])

function der(tag: number, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const content = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  const { length } = content
  const octets = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...octets]), content])
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(SEQUENCE, ...parts)
}

/** One of 0 to 127. */
function integer(value: number): Buffer {
  return der(INTEGER, Buffer.from([value]))
}

/** @param hex the encoded arcs */
function oid(hex: string): Buffer {
  return der(OBJECT_IDENTIFIER, Buffer.from(hex, 'hex'))
}

const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'))

/** `CN=…` alone. */
function distinguishedName(commonName: string): Buffer {
  return sequence(der(SET, sequence(oid('550403'), der(UTF8_STRING, commonName))))
}

/** @param arc last arc of `2.5.29`, `id-ce` */
function extension(arc: number, value: Buffer, critical = false): Buffer {
  const id = der(OBJECT_IDENTIFIER, Buffer.from([0x55, 0x1d, arc]))
  return sequence(id, ...(critical ? [der(BOOLEAN, Buffer.from([0xff]))] : []), der(OCTET_STRING, value))
}

function basicConstraints(isAuthority: boolean): Buffer {
  return extension(19, sequence(...(isAuthority ? [der(BOOLEAN, Buffer.from([0xff]))] : [])), true)
}

function keyUsage(usage: 'digitalSignature' | 'keyCertSign'): Buffer {
  const bits = usage === 'digitalSignature' ? [7, 0x80] : [2, 0x04]
  return extension(15, der(BIT_STRING, Buffer.from(bits)), true)
}

function extendedKeyUsage(client: boolean): Buffer {
  return extension(37, sequence(oid(client ? '2b06010505070302' : '2b06010505070301')))
}

function keyIdentifier(publicKey: KeyObject): Buffer {
  return hash('sha256', publicKey.export({ type: 'spki', format: 'der' }), 'buffer').subarray(0, 20)
}

function subjectKeyIdentifier(publicKey: KeyObject): Buffer {
  return extension(14, der(OCTET_STRING, keyIdentifier(publicKey)))
}

function authorityKeyIdentifier(keyId: Buffer): Buffer {
  return extension(35, sequence(der(0x80, keyId)))
}

function subjectAltName(names: readonly string[]): Buffer {
  const one = (name: string): Buffer =>
    /^\d+(\.\d+){3}$/.test(name) ? der(0x87, Buffer.from(name.split('.').map(Number))) : der(0x82, name)
  return extension(17, sequence(...names.map(one)))
}
