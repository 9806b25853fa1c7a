// @ts-check
/** The signing keys of an authorization server, and the three steps in which they are rotated. */
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'

/** @typedef {'RS256' | 'PS256' | 'ES256' | 'EdDSA'} Algorithm */
/** @typedef {import('jose').JWK & { kid: string, alg: Algorithm, use: 'sig' }} SigningKey private */
/** @typedef {'publish' | 'switch' | 'retire'} Step */

const generate = promisify(generateKeyPair)
const GENERATORS = {
  RS256: () => generate('rsa', { modulusLength: 2048 }),
  PS256: () => generate('rsa', { modulusLength: 2048 }),
  ES256: () => generate('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generate('ed25519')
}

/** @param {readonly Algorithm[]} algorithms one key each, to begin with */
export async function createSigningKeys(algorithms) {
  /** Of each algorithm the published keys; the first one signs. @type {Map<Algorithm, SigningKey[]>} */
  const keys = new Map()
  let generation = 0

  /** @param {readonly Algorithm[]} of */
  const publish = async (of) => {
    generation++
    const made = await Promise.all(
      of.map(async (algorithm) => {
        const { privateKey } = await GENERATORS[algorithm]()
        const jwk = { ...privateKey.export({ format: 'jwk' }), kid: `${algorithm}-${generation}`, alg: algorithm }
        return /** @type {SigningKey} */ ({ ...jwk, use: 'sig' })
      })
    )
    for (const key of made) keys.set(key.alg, [...(keys.get(key.alg) ?? []), key])
  }
  await publish(algorithms)

  return {
    /** All of them, those that sign first. */
    all: () => [...keys.values()].flat(),
    /**
     * `publish`: one more key, which does not sign yet. `switch`: the newest one signs. `retire`: only that is left.
     * @param {Step} step
     * @param {readonly Algorithm[]} of
     */
    rotate: async (step, of) => {
      if (step === 'publish') return publish(of)
      for (const algorithm of of) {
        const [newest, ...others] = (keys.get(algorithm) ?? []).toSorted((a, b) => generationOf(b) - generationOf(a))
        if (newest) keys.set(algorithm, step === 'switch' ? [newest, ...others] : [newest])
      }
    }
  }
}

/** @param {SigningKey} key */
function generationOf({ kid }) {
  return Number(kid.slice(kid.indexOf('-') + 1))
}
