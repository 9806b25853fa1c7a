/**
 * The compact serialization (RFC 7515 §3.1, RFC 7516 §7.1): a text taken apart into segments, bytes and JSON objects, by
 * the strict reading of RFC 7515 §2 and RFC 7519 §7.2. Access tokens, DPoP proofs and signed introspection answers all
 * come through here.
 *
 * Does NOT verify anything: what it returns is as trustworthy as the text was.
 */
import { isUtf8 } from 'node:buffer'
import type { Claims } from './types.js'

/** A JWS taken apart. Nothing in it has been verified. */
export interface UnverifiedJws {
  /** The first segment, as it is. */
  readonly header: string
  /** The second segment, as it is. */
  readonly payload: string
  /** The third segment, as it is; perhaps empty. */
  readonly signature: string
  /** header.payload, what the signature is over. */
  readonly signingInput: string
}

/** Three segments of base64url, the last one perhaps empty. */
const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)$/

/** A text as a JWS in compact serialization, or undefined if it is not built like one. */
export function splitJws(text: string): UnverifiedJws | undefined {
  const parts = COMPACT.exec(text)
  if (!parts) return undefined
  const [, header, payload, signature] = parts as unknown as [string, string, string, string]
  return { header, payload, signature, signingInput: text.slice(0, header.length + 1 + payload.length) }
}

/** True for the compact serialization of a JWE (RFC 7516 §7.1): five segments, whose content nobody here can read. */
export function isJwe(text: string): boolean {
  return /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}$/.test(text)
}

/** Segment → JSON object, or undefined: canonical base64url, UTF-8, an object (RFC 7515 §2, RFC 7519 §7.2). */
export function decodeObject(segment: string): Claims | undefined {
  const bytes = decodeBase64url(segment)
  if (!bytes || !isUtf8(bytes)) return undefined
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined
  } catch {
    return undefined
  }
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * Bytes of one segment, or undefined if another text would decode to the same bytes: Node's decoder drops a lone last
 * character and unused bits without a word, so they are looked at first.
 *
 * Does NOT check the alphabet, which {@link splitJws} did.
 */
export function decodeBase64url(segment: string): Buffer | undefined {
  const rest = segment.length % 4
  if (rest === 1) return undefined
  if (rest > 1) {
    const unused = rest === 2 ? 0b1111 : 0b11
    if (ALPHABET.indexOf(segment.at(-1) as string) & unused) return undefined
  }
  return Buffer.from(segment, 'base64url')
}

/** True if a header's `typ` is this media type: case-insensitive, `application/` understood where there is no slash (RFC 7515 §4.1.9). */
export function isMediaType(typ: unknown, expected: `application/${string}`): boolean {
  return typeof typ === 'string' && (typ.includes('/') ? typ : `application/${typ}`).toLowerCase() === expected
}
