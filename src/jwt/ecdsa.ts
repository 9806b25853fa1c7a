/** ECDSA signatures as JOSE writes them (R and S side by side, RFC 7518 §3.4) → DER, which OpenSSL reads. */

/** Bytes that {@link writeEcdsa} writes at most: for ES512, with two numbers that are too large for the curve. */
export const MAX_ECDSA = 141

const SEQUENCE = 0x30

const INTEGER = 0x02

/**
 * An ECDSA signature as OpenSSL has it: a SEQUENCE of two INTEGERs in DER (RFC 3279 §2.2.3). Node would do that as well,
 * for `dsaEncoding: 'ieee-p1363'`, and takes more than half a microsecond for it.
 *
 * Does NOT check that the numbers are any of the curve: OpenSSL does.
 *
 * @param signature R and S, of equal length
 * @param der       room for {@link MAX_ECDSA} bytes
 * @returns how many bytes were written
 */
export function writeEcdsa(signature: Uint8Array, der: Uint8Array): number {
  const half = signature.length / 2
  const r = significant(signature, 0, half)
  const s = significant(signature, half, signature.length)
  const length = integerLength(signature, r, half) + integerLength(signature, s, signature.length)
  let at = 0
  der[at++] = SEQUENCE
  if (length > 0x7f) der[at++] = 0x81
  der[at++] = length
  at = writeInteger(signature, r, half, der, at)
  return writeInteger(signature, s, signature.length, der, at)
}

/** Where the first byte is that counts; a zero has its last one. */
function significant(bytes: Uint8Array, from: number, end: number): number {
  while (from < end - 1 && bytes[from] === 0) from++
  return from
}

/** With its tag and its length. */
function integerLength(bytes: Uint8Array, from: number, end: number): number {
  return 2 + signByte(bytes, from) + end - from
}

/** A number whose first bit is set would be a negative one. */
function signByte(bytes: Uint8Array, from: number): 0 | 1 {
  return (bytes[from] as number) > 0x7f ? 1 : 0
}

function writeInteger(bytes: Uint8Array, from: number, end: number, der: Uint8Array, at: number): number {
  der[at++] = INTEGER
  der[at++] = signByte(bytes, from) + end - from
  if (signByte(bytes, from) === 1) der[at++] = 0
  for (let i = from; i < end; i++) der[at++] = bytes[i] as number
  return at
}
