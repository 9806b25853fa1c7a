/**
 * Inputs of the fuzzer as text that can be read, and changed before it is signed: what stands between `<<` and `>>` is
 * put in place of by {@link expand}. A character is a byte.
 *
 * ```
 * <<token>>                              an access token that is good in every respect
 * <<token {"exp":1,"-sub":0} | {"typ":"JWT"}>>   with another exp and typ, without sub
 * <<token@rsa>>                          signed by another of the keys
 * <<metadata {"issuer":1}>>              a document, altered likewise
 * <<jws ed>>{"alg":"EdDSA"}<<.>>{}<</jws>>   the same at length: a header, a payload, who signs
 * <<z ff00*100>>                         a status list: these bytes a hundred times, compressed, in base64url
 * <<x 17000 a>>  <<h 00ff>>              a text so many times; bytes
 * <<cert>>  <<cert nopad>>  <<pem>>       a certificate in base64, without padding, in percent-encoded PEM
 * <<ath>>  <<nonce>>                     for a DPoP proof: the hash of `<<bound>>`, and a nonce of ours
 * ```
 */
import { createHmac, createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import { base64url, type Signer, signature } from '../support/issuer.js'
import { CERTIFICATE, DEFAULTS, KEYS, NONCE_SECRET, NOW, RESOURCE, sha256 } from './world.js'

type Json = Record<string, unknown>

const SHORT = /<<(\w+)(?:@(\w+))?(?: (\{.*?\}))??(?: \| (\{.*?\}))?>>/gs
const JWS = /<<jws (\w+)>>((?:(?!<<jws).)*?)<<\.>>((?:(?!<<jws).)*?)<<\/jws>>/gs
const ZLIB = /<<z ([0-9a-f]*)(?:\*(\d{1,8}))?>>/g
const TIMES = /<<x (\d{1,6}) (.{1,40}?)>>/gs
const HEX = /<<h ([0-9a-f]*)>>/g
/** What repetition may make: more than any bound that is tested. */
const MAX_LENGTH = 2_000_000

/** Short forms written out, so that every member of them can be changed. */
export function writeOut(template: string): string {
  return template.replace(SHORT, (whole, kind: string, key: string | undefined, body?: string, header?: string) => {
    const defaults = DEFAULTS[kind]
    if (defaults === undefined) return whole
    try {
      const payload = alter(defaults.payload, body)
      if (defaults.header === undefined) return payload
      const signer = key ?? defaults.key ?? ''
      return `<<jws ${signer}>>${alter({ ...defaults.header, ...HEADERS[signer] }, header)}<<.>>${payload}<</jws>>`
    } catch {
      return whole
    }
  })
}

/** The bytes that are sent. What is not understood stays as it is. */
export function expand(template: string): string {
  return writeOut(template)
    .replace(TIMES, (_, times: string, text: string) => text.repeat(Math.min(Number(times), MAX_LENGTH / text.length)))
    .replace(ZLIB, (_, hex: string, times = '1') => {
      const bytes = Buffer.from(hex, 'hex')
      const length = Math.min(bytes.length * Number(times), 4 * MAX_LENGTH)
      return base64url(deflateSync(bytes.length === 0 ? bytes : Buffer.alloc(length, bytes)))
    })
    .replace(/<<ath>>/g, () => sha256(expand('<<bound>>')))
    .replace(/<<nonce>>/g, () => NONCE)
    .replace(/<<cert>>/g, () => CERTIFICATE)
    .replace(/<<cert nopad>>/g, () => CERTIFICATE.replace(/=+$/, ''))
    .replace(/<<pem>>/g, () => encodeURIComponent(PEM))
    .replace(HEX, (_, hex: string) => Buffer.from(hex, 'hex').toString('latin1'))
    .replace(JWS, (whole, name: string, header: string, payload: string) => {
      const signer = SIGNERS[name]
      if (signer === undefined) return whole
      const input = [header, payload].map((part) => base64url(Buffer.from(part, 'latin1'))).join('.')
      return `${input}.${base64url(signature(input, signer))}`
    })
}

/** A nonce as this package makes them, by the description in its source: the time, and a MAC. */
const NONCE = nonceAt(NOW - 20)

function nonceAt(second: number): string {
  const time = Buffer.alloc(6)
  time.writeUIntBE(second, 0, 6)
  const mac = createHmac('sha256', NONCE_SECRET).update(`dpop-nonce\n${RESOURCE}\n`).update(time).digest()
  return Buffer.concat([time, mac.subarray(0, 16)]).toString('base64url')
}

const PEM = `-----BEGIN CERTIFICATE-----\n${CERTIFICATE.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`

/** Bytes as a template that expands to them, of printable ASCII. */
export function quote(bytes: string): string {
  return bytes.replace(/<<|###|[^\x20-\x7e\n]+/g, (odd) => `<<h ${Buffer.from(odd, 'latin1').toString('hex')}>>`)
}

/** The members with those of `changes` set, or removed where the name begins with a minus sign. */
function alter(members: Json, changes: string | undefined): string {
  const all = new Map(Object.entries(members))
  for (const [name, value] of Object.entries(JSON.parse(changes ?? '{}') as Json)) {
    if (name.startsWith('-')) all.delete(name.slice(1))
    else all.set(name, value)
  }
  return JSON.stringify(Object.fromEntries(all))
}

function signer(name: keyof typeof KEYS, alg: Signer['alg'], key?: KeyObject): Signer {
  const jwk = { ...KEYS[name] } as Record<string, string>
  return { alg, privateKey: key ?? createPrivateKey({ key: jwk, format: 'jwk' }) }
}

/** Who may sign; `none` and `hmac` (with a published key for its secret) are forgeries. */
const SIGNERS: Readonly<Record<string, Signer>> = {
  ed: signer('ed', 'EdDSA'),
  ec: signer('ec', 'ES256'),
  rsa: signer('rsa', 'RS256'),
  pss: signer('rsa', 'PS256'),
  client: signer('client', 'EdDSA'),
  stranger: signer('stranger', 'EdDSA'),
  none: signer('ed', 'none'),
  hmac: signer(
    'rsa',
    'HS256',
    createSecretKey(
      createPublicKey(createPrivateKey({ key: KEYS.rsa as Record<string, string>, format: 'jwk' })).export({
        type: 'spki',
        format: 'der'
      })
    )
  )
}

/** What a header says of who signs. */
const HEADERS: Readonly<Record<string, Json>> = {
  ed: { alg: 'EdDSA', kid: 'ed' },
  ec: { alg: 'ES256', kid: 'ec' },
  rsa: { alg: 'RS256', kid: 'rsa' },
  pss: { alg: 'PS256', kid: 'rsa' },
  stranger: { alg: 'EdDSA', kid: 'ed' },
  none: { alg: 'none' },
  hmac: { alg: 'HS256', kid: 'rsa' }
}
