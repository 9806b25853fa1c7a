/**
 * The compact serialization (RFC 7515 §3.1, RFC 7516 §7.1): splits a text into segments, bytes and JSON objects,
 * strictly by RFC 7515 §2 and RFC 7519 §7.2. Used for access tokens, DPoP proofs and signed introspection answers.
 *
 * Does NOT verify anything: the result is as untrusted as the text.
 */
import { isUtf8 } from 'node:buffer'
import { parseObject } from '../base/json.js'
import type { Claims } from '../types.js'

/** A JWS split into its segments. Nothing in it has been verified. */
export interface UnverifiedJws {
  /** The first segment, encoded. */
  readonly header: string
  /** The second segment, encoded. */
  readonly payload: string
  /** The third segment, encoded; may be empty. */
  readonly signature: string
  /** `header.payload`: the signed text. */
  readonly signingInput: string
}

/** Three segments of base64url; the last may be empty. */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/

/** Splits a JWS in compact serialization. Returns undefined for a text with another structure. */
export function splitJws(text: string): UnverifiedJws | undefined {
  if (!COMPACT.test(text)) return undefined
  const first = text.indexOf('.')
  return new CompactJws(text, first, text.indexOf('.', first + 1))
}

/** Extracts segments on access: most refused tokens need few of them. */
class CompactJws implements UnverifiedJws {
  readonly header: string
  readonly #text: string
  readonly #first: number
  readonly #second: number

  constructor(text: string, first: number, second: number) {
    this.header = text.slice(0, first)
    this.#text = text
    this.#first = first
    this.#second = second
  }

  get payload(): string {
    return this.#text.slice(this.#first + 1, this.#second)
  }

  get signature(): string {
    return this.#text.slice(this.#second + 1)
  }

  get signingInput(): string {
    return this.#text.slice(0, this.#second)
  }
}

/** True for the compact serialization of a JWE (RFC 7516 §7.1): five segments. The content was not decrypted. */
export function isJwe(text: string): boolean {
  return /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}$/.test(text)
}

/** Shared buffer for decoding one segment at a time. Each use is synchronous, so uses cannot overlap. */
const scratch = Buffer.allocUnsafeSlow(16 * 1024)

/**
 * Decodes a segment to a JSON object. Returns undefined unless it is canonical base64url, UTF-8, and an object of at
 * most 64 levels (RFC 7515 §2, RFC 7519 §7.2).
 */
export function decodeObject(segment: string): Claims | undefined {
  if (!isCanonical(segment)) return undefined
  const text = decodeText(segment)
  return text === undefined ? undefined : parseObject(text)
}

function decodeText(segment: string): string | undefined {
  const fits = segment.length <= scratch.length
  const bytes = fits ? scratch : Buffer.from(segment, 'base64url')
  const length = fits ? scratch.write(segment, 'base64url') : bytes.length
  const text = bytes.toString('utf8', 0, length)
  // U+FFFD marks invalid UTF-8, unless the input contained it.
  return text.includes('\uFFFD') && !isUtf8(bytes.subarray(0, length)) ? undefined : text
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * True if no other segment decodes to the same bytes. Node's decoder silently drops a lone last character and unused
 * bits.
 *
 * Does NOT check the alphabet: {@link splitJws} did.
 */
export function isCanonical(segment: string): boolean {
  const rest = segment.length % 4
  if (rest === 0) return true
  const unused = rest === 2 ? 0b1111 : 0b11
  return rest !== 1 && (ALPHABET.indexOf(segment.charAt(segment.length - 1)) & unused) === 0
}

/** Decodes one segment. Returns undefined if it is not {@link isCanonical}. */
export function decodeBase64url(segment: string): Buffer | undefined {
  return isCanonical(segment) ? Buffer.from(segment, 'base64url') : undefined
}

/**
 * True if a header's `typ` is this media type. Case-insensitive; `application/` is implied where the value has no slash
 * (RFC 7515 §4.1.9).
 */
export function isMediaType(typ: unknown, expected: `application/${string}`): boolean {
  return typeof typ === 'string' && (typ.includes('/') ? typ : `application/${typ}`).toLowerCase() === expected
}
