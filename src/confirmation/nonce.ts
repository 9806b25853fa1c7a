/**
 * Nonces for DPoP proofs (RFC 9449 §8, §9). They are stateless: a nonce is its creation time with a MAC over that time
 * and this API's identifier. Every process with the secret can verify it, so processes share only the secret. A nonce
 * may be reused while it is valid (§11.1); each proof may be used once.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** Seconds for which a nonce is valid. */
export const NONCE_LIFETIME = 300
/** Maximum seconds by which the clock of the process that created the nonce may be ahead. */
const MAX_AHEAD = 10
const TIME_BYTES = 6
const MAC_BYTES = 16
/** Characters of a nonce: base64url of 22 bytes without padding. */
const LENGTH = Math.ceil(((TIME_BYTES + MAC_BYTES) * 4) / 3)
const NONCE = /^[A-Za-z0-9_-]+$/

export interface Nonces {
  /** Creates a nonce for this second. */
  create(now: number): string
  /** Seconds since the nonce was created, or undefined for an expired one or one that this API did not create. */
  age(nonce: string, now: number): number | undefined
}

/**
 * @param secrets the first one creates nonces, all of them verify
 * @param resource the identifier of this API: nonces of another API are invalid here, even with the same secret
 */
export function createNonces(secrets: readonly (string | Uint8Array)[], resource: string): Nonces {
  const mac = (secret: string | Uint8Array, time: Buffer): Buffer =>
    createHmac('sha256', secret).update(`dpop-nonce\n${resource}\n`).update(time).digest().subarray(0, MAC_BYTES)
  let last: { readonly second: number; readonly nonce: string } | undefined
  return {
    create: (now) => {
      const second = Math.floor(now)
      if (last?.second !== second) {
        const time = Buffer.alloc(TIME_BYTES)
        time.writeUIntBE(second, 0, TIME_BYTES)
        const nonce = Buffer.concat([time, mac(secrets[0] as string, time)]).toString('base64url')
        last = { second, nonce }
      }
      return last.nonce
    },
    age: (nonce, now) => {
      if (nonce.length !== LENGTH || !NONCE.test(nonce)) return undefined
      const bytes = Buffer.from(nonce, 'base64url')
      const time = bytes.subarray(0, TIME_BYTES)
      const age = now - time.readUIntBE(0, TIME_BYTES)
      if (!(age >= -MAX_AHEAD && age < NONCE_LIFETIME)) return undefined
      const ours = secrets.some((secret) => timingSafeEqual(mac(secret, time), bytes.subarray(TIME_BYTES)))
      return ours ? Math.max(0, age) : undefined
    }
  }
}
