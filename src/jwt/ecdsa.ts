/**
 * Converts ECDSA signatures from the JOSE form (R and S concatenated, RFC 7518 §3.4) to DER, which OpenSSL reads.
 *
 * Tests: `test/jwt/algorithms.test.ts`.
 */

/** Maximum bytes that {@link writeEcdsa} writes: ES512 with two numbers that are too large for the curve. */
export const MAX_ECDSA = 141

const SEQUENCE = 0x30

const INTEGER = 0x02

/**
 * Writes an ECDSA signature as OpenSSL reads it: a SEQUENCE of two INTEGERs in DER (RFC 3279 §2.2.3). Node does the
 * same for `dsaEncoding: 'ieee-p1363'`, but takes over half a microsecond longer.
 *
 * Does NOT check that the numbers are valid on the curve: OpenSSL does.
 *
 * @param signature R and S, of equal length
 * @param der buffer of at least {@link MAX_ECDSA} bytes
 * @returns the number of bytes written
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

/** Index of the first significant byte; for zero, the last byte. */
function significant(bytes: Uint8Array, from: number, end: number): number {
  while (from < end - 1 && bytes[from] === 0) from++
  return from
}

/** Length of a DER INTEGER including tag and length byte. */
function integerLength(bytes: Uint8Array, from: number, end: number): number {
  return 2 + signByte(bytes, from) + end - from
}

/** DER integers are signed: a set first bit needs a leading zero byte. */
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
