// @ts-check
/** The keys that sign access tokens, kept in the database. The first one signs, the others are still good. */
import { generateKeyPair, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'

const generate = promisify(generateKeyPair)

/** Of each kind: the one that signs, and the one before it, for tokens that it signed. */
const KEPT = 2

/** @typedef {import('jose').JWK & { kid: string, alg: string, use: 'sig' }} SigningKey private: with `d` */

/** @param {import('./database.mjs').AuthorizationDatabase} database */
export async function openKeys(database) {
  /** @type {SigningKey[]} */
  let keys = await database.secret('keys', async () => [await createKey()])
  return {
    /** The signing one first. */
    all: () => keys,
    /** A new key signs from now on; the one before stays published, older ones do not. */
    rotate: async () => {
      keys = [await createKey(), ...keys].slice(0, KEPT)
      database.replaceSecret('keys', keys)
    }
  }
}

/** @returns {Promise<SigningKey>} */
async function createKey() {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' })
  const jwk = /** @type {import('jose').JWK} */ (privateKey.export({ format: 'jwk' }))
  return { ...jwk, kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' }
}
