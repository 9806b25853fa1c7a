/**
 * Encrypts values for a shared store, with a key derived from `shared.secret`. A value that fails to decrypt (wrong key,
 * altered, truncated, renamed, other format) counts as missing.
 *
 * Tests: `test/redis/secrecy.test.ts`.
 */

import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import { world } from '../base/world.js'

/** Maximum characters of a value. Longer ones are neither written nor read. */
export const MAX_VALUE_LENGTH: number = 512 * 1024

/**
 * First byte of a value: the format's version. A new format gets a new number, so releases that run side by side ignore
 * each other's values.
 */
const VERSION = 1

const NONCE_BYTES = 12

const TAG_BYTES = 16

const CIPHER = 'aes-256-gcm'

/** Names and encrypted values under one secret. */
export interface Envelope {
  /** `purpose:MAC`. The store learns the purpose, not the subject. */
  name(purpose: string, parts: readonly string[]): string
  /** The MAC alone: 43 characters of base64url. */
  mac(purpose: string, parts: readonly string[]): string
  /** Encrypts a value. The result opens under this name only. */
  seal(name: string, value: string): string
  /** Decrypts a value. Returns undefined unless `seal` made it for this name, with this secret, in this format. */
  open(name: string, sealed: string): string | undefined
}

export function createEnvelope(secret: string): Envelope {
  const naming = derive(secret, 'name')
  const sealing = derive(secret, 'value')
  // Each name has its own key: with one key, a random nonce could repeat in the lifetime of a secret (SP 800-38D §8.3).
  const keyOf = (name: string): Buffer => createHmac('sha256', sealing).update(name).digest()
  const header = (name: string): Buffer => Buffer.concat([Buffer.of(VERSION), Buffer.from(name)])
  const mac = (purpose: string, parts: readonly string[]): string =>
    createHmac('sha256', naming)
      .update(JSON.stringify([purpose, ...parts]))
      .digest('base64url')
  return {
    name: (purpose, parts) => `${purpose}:${mac(purpose, parts)}`,
    mac,
    seal: (name, value) => {
      const nonce = world.bytes(NONCE_BYTES)
      const cipher = createCipheriv(CIPHER, keyOf(name), nonce, { authTagLength: TAG_BYTES }).setAAD(header(name))
      const text = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
      return Buffer.concat([Buffer.of(VERSION), nonce, text, cipher.getAuthTag()]).toString('base64url')
    },
    open: (name, sealed) => {
      // Base64url, the nonce and UTF-8 make a sealed value longer than its text.
      if (sealed.length > MAX_VALUE_LENGTH * 5) return undefined
      const bytes = Buffer.from(sealed, 'base64url')
      if (bytes[0] !== VERSION || bytes.length < 1 + NONCE_BYTES + TAG_BYTES) return undefined
      const nonce = bytes.subarray(1, 1 + NONCE_BYTES)
      try {
        const decipher = createDecipheriv(CIPHER, keyOf(name), nonce, { authTagLength: TAG_BYTES })
          .setAAD(header(name))
          .setAuthTag(bytes.subarray(-TAG_BYTES))
        return Buffer.concat([
          decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES)),
          decipher.final()
        ]).toString()
      } catch {
        return undefined
      }
    }
  }
}

/** Derives a key for one use. A leaked key reveals neither the secret nor the other keys. */
export function derive(secret: string, use: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'oauth-resource-server', use, 32))
}
