/**
 * Nonces for DPoP proofs (RFC 9449 §8, §9), stateless: a nonce is the time it was made, with a MAC over that time and
 * this API's name. Whoever has the secret can check it, so that processes share the secret and nothing else. A nonce may
 * be used again while it lasts (§11.1): what is used once is the proof.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** Seconds a nonce is good for. */
export const NONCE_LIFETIME = 300
/** Seconds by which the clock of the process that made it may be ahead of ours. */
const MAX_AHEAD = 10
const TIME_BYTES = 6
const MAC_BYTES = 16
/** Of bytes without padding: 22 of them. */
const LENGTH = Math.ceil(((TIME_BYTES + MAC_BYTES) * 4) / 3)
const NONCE = /^[A-Za-z0-9_-]+$/

export interface Nonces {
  /** A nonce of now. */
  create(now: number): string
  /** Seconds since the nonce was made, or undefined for one that is not ours, or no longer good. */
  age(nonce: string, now: number): number | undefined
}

/**
 * @param secrets   the first makes nonces, all of them check
 * @param resource  the identifier of this API: another API's nonces are not ours, even if made with the same secret
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
