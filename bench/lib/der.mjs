// @ts-check

/**
 * The DER of a 64-byte ECDSA signature (RFC 7518 §3.4 to RFC 3279 §2.2.3): two integers without leading zeros, each with
 * one before a first byte that would make it negative.
 *
 * @param {Buffer} signature
 */
export function derOf(signature) {
  const [r, s] = [startOf(signature, 0), startOf(signature, 32)]
  const [rPad, sPad] = [(signature[r] ?? 0) >> 7, (signature[s] ?? 0) >> 7]
  const [rLength, sLength] = [32 - r + rPad, 64 - s + sPad]
  const der = Buffer.allocUnsafe(6 + rLength + sLength)
  der[0] = 0x30
  der[1] = 4 + rLength + sLength
  der[2] = 2
  der[3] = rLength
  der[4] = 0
  signature.copy(der, 4 + rPad, r, 32)
  der[4 + rLength] = 2
  der[5 + rLength] = sLength
  der[6 + rLength] = 0
  signature.copy(der, 6 + rLength + sPad, s, 64)
  return der
}

/** Where the integer begins: after its zeros, of which the last byte stays. @param {Buffer} signature @param {number} from */
function startOf(signature, from) {
  let at = from
  while (at < from + 31 && signature[at] === 0) at++
  return at
}
