/**
 * The compact serialization (RFC 7515 §3.1, RFC 7516 §7.1): splits a text into segments, bytes and JSON objects,
 * strictly by RFC 7515 §2 and RFC 7519 §7.2. Used for access tokens, DPoP proofs and signed introspection answers.
 *
 * Does NOT verify anything: the result is as untrusted as the text.
 */
import { isUtf8 } from 'node:buffer'
import { MAX_RSA_BITS } from '../base/bounds.js'
import type { Memo } from '../base/cache.js'
import { parseObject } from '../base/json.js'
import { createScratch, type Scratch } from '../base/scratch.js'
import type { Claims } from '../types.js'

/** A JWS split into its segments. Nothing in it has been verified. */
export class UnverifiedJws {
  /** The first segment, encoded. */
  readonly header: string
  /** `header.payload`: the signed text. */
  readonly signingInput: string
  /** The third segment, encoded; may be empty. */
  readonly signature: string
  /** The second segment, decoded; undefined if it is not canonical base64url of UTF-8. */
  readonly #payload: string | undefined
  #header: Claims | undefined
  #claims: Claims | undefined

  /** @param parsedHeader  undefined if it was not parsed before */
  constructor(
    header: string,
    signingInput: string,
    signature: string,
    payload: string | undefined,
    parsedHeader: Claims | undefined
  ) {
    this.header = header
    this.signingInput = signingInput
    this.signature = signature
    this.#payload = payload
    this.#header = parsedHeader
  }

  /** The header, parsed on the first call. Undefined unless it is a JSON object, as {@link decodeObject} requires it. */
  get unverifiedHeader(): Claims | undefined {
    this.#header ??= decodeObject(this.header)
    return this.#header
  }

  /** The payload, parsed on the first call. Undefined unless it is a JSON object, as {@link decodeObject} requires it. */
  get unverifiedPayload(): Claims | undefined {
    if (this.#payload !== undefined) this.#claims ??= parseObject(this.#payload)
    return this.#claims
  }

  /** True if a string in the payload may have a character beyond Latin-1, as itself or escaped. */
  get mayBeWide(): boolean {
    return this.#payload === undefined || WIDE.test(this.#payload) || this.#payload.includes('\\u')
  }
}

/**
 * Splits a JWS in compact serialization. Returns undefined for a text with another structure.
 *
 * @param known parsed headers of verified tokens, by their text
 */
export function splitJws(text: string, known?: Memo<Claims>): UnverifiedJws | undefined {
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (first < 1 || second < first + 2 || hasOtherAlphabet(text)) return undefined
  const header = text.slice(0, first)
  const parsedHeader = known?.get(header)
  const signature = text.slice(second + 1)
  if ((parsedHeader === undefined && decoder.decode(header) < 0) || decoder.signature(signature) === undefined)
    return undefined
  // Last, because its bytes are read.
  const payload = text.slice(first + 1, second)
  const length = decoder.decode(payload)
  if (length < 0) return undefined
  const decoded = isCanonical(payload) ? decoder.text(length) : undefined
  return new UnverifiedJws(header, text.slice(0, second), signature, decoded, parsedHeader)
}

/** True for the compact serialization of a JWE (RFC 7516 §7.1): five segments. The content was not decrypted. */
export function isJwe(text: string): boolean {
  // Most opaque tokens have no dot, and the expression would search them twice.
  return text.includes('.') && /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}$/.test(text)
}

/** Characters beyond Latin-1. On a text that has none, V8 finds that without looking at its characters. */
const WIDE = /[^\0-\xff]/

const BASE64URL = /^[A-Za-z0-9_-]*$/

/** True if a text has characters that Node's decoder takes for others: those of plain base64, and any beyond Latin-1. */
function hasOtherAlphabet(text: string): boolean {
  return text.includes('+') || text.includes('/') || WIDE.test(text)
}

/** Decodes one segment at a time, into buffers that it uses again. Each use is synchronous, so uses cannot overlap. */
class Decoder {
  private readonly segments = createScratch(16 * 1024)
  private readonly signatures = createScratch(MAX_RSA_BITS / 8)
  /** The bytes that were decoded last. */
  private bytes: Buffer = this.segments.bytes
  private lastSignature = ''
  private lastBytes: Buffer | undefined = this.signatures.first(0)

  /**
   * Decodes a segment for which {@link hasOtherAlphabet} is false. Returns the number of bytes, or -1 if the segment has
   * other characters than base64url. Node's decoder skips those, so that bytes are missing. This costs a third of what a
   * RegExp takes, and every new token comes through here. The tests hold the runtime to it, character by character.
   */
  decode(segment: string, scratch: Scratch = this.segments): number {
    const { length } = segment
    this.bytes = length <= scratch.bytes.length ? scratch.bytes : Buffer.allocUnsafeSlow(length)
    const decoded = this.bytes.write(segment, 'base64url')
    // A lone last character has no byte that could be missing.
    const isBase64url = length % 4 === 1 ? BASE64URL.test(segment) : decoded === (length * 3) >> 2
    return isBase64url ? decoded : -1
  }

  /** The first bytes that were decoded last, as text. Returns undefined unless they are UTF-8. */
  text(length: number): string | undefined {
    const text = this.bytes.toString('utf8', 0, length)
    // U+FFFD marks invalid UTF-8, unless the input contained it.
    return text.includes('\uFFFD') && !isUtf8(this.bytes.subarray(0, length)) ? undefined : text
  }

  /** See {@link decodeSignature}. */
  signature(signature: string): Buffer | undefined {
    if (signature === this.lastSignature) return this.lastBytes
    const length = this.decode(signature, this.signatures)
    const fits = this.bytes === this.signatures.bytes
    if (length < 0) this.lastBytes = undefined
    else this.lastBytes = fits ? this.signatures.first(length) : this.bytes.subarray(0, length)
    this.lastSignature = signature
    return this.lastBytes
  }
}

const decoder = new Decoder()

/**
 * The bytes of the signature of a text that {@link splitJws} accepted, until the next call for another one. Undefined for
 * characters outside of base64.
 *
 * Remembers one result: {@link splitJws} decodes a signature to check its characters, and its verification follows.
 *
 * Does NOT require that the text {@link isCanonical}.
 */
export function decodeSignature(signature: string): Buffer | undefined {
  return decoder.signature(signature)
}

/**
 * Decodes a segment to a JSON object. Returns undefined unless it is canonical base64url, UTF-8, and an object of at
 * most 64 levels (RFC 7515 §2, RFC 7519 §7.2).
 */
export function decodeObject(segment: string): Claims | undefined {
  if (hasOtherAlphabet(segment) || !isCanonical(segment)) return undefined
  const length = decoder.decode(segment)
  const text = length < 0 ? undefined : decoder.text(length)
  return text === undefined ? undefined : parseObject(text)
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
