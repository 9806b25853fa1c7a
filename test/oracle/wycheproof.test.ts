/**
 * Project Wycheproof's vectors for JSON Web Signature and JSON Web Key, through the parser, the key set and the
 * signature check that access tokens go through. Every vector is either run or listed here with its reason.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Problems } from '../../src/base/options/problems.js'
import { InvalidToken } from '../../src/errors/errors.js'
import { readIssuerOptions } from '../../src/issuer/settings.js'
import type { JsonWebKeySet } from '../../src/jwt/key-set.js'
import { type KeySet, readKeySet } from '../../src/jwt/key-set.js'
import { readUnverifiedJwt, verifyJwt } from '../../src/jwt/verify-jwt.js'
import { createVerifySignature } from '../../src/jwt/verify-signature.js'

interface Vector {
  readonly tcId: number
  readonly comment: string
  readonly jws: string
  readonly result: 'valid' | 'invalid'
}

type Jwk = Readonly<Record<string, unknown>>

interface Group {
  readonly comment: string
  readonly private?: Jwk | JsonWebKeySet
  /** Missing where the key is a secret. */
  readonly public?: Jwk | JsonWebKeySet
  readonly tests: readonly Vector[]
}

interface Case extends Vector {
  readonly group: Group
}

const NOW = 1_750_000_000
const ISSUER = 'https://as.example.com'
const RESOURCE = 'https://api.example.com'

const issuer = readIssuerOptions(ISSUER, 'issuers[0]', RESOURCE, new Problems())
const rules = { required: ['exp'], allowMissingAudience: false, clockTolerance: 0, now: NOW }
const verifySignature = createVerifySignature()

/** The vectors of a file, and how many it says it has. */
function read(file: string): { readonly cases: readonly Case[]; readonly numberOfTests: number } {
  const { testGroups, numberOfTests } = JSON.parse(
    readFileSync(new URL(`../vectors/${file}`, import.meta.url), 'utf8')
  ) as { readonly testGroups: readonly Group[]; readonly numberOfTests: number }
  return { cases: testGroups.flatMap((group) => group.tests.map((one) => ({ ...one, group }))), numberOfTests }
}

function keySetOf(keys: Jwk | JsonWebKeySet | undefined): KeySet {
  return readKeySet(keys !== undefined && 'keys' in keys ? keys : { keys: [keys] })
}

/**
 * Whether a JWS is accepted, with the vector's key as the issuer's only one. The payloads are not claims and the
 * headers have no `typ`, so exactly these two are replaced after parsing; everything else is the real decision.
 */
async function accepts(jws: string, keys: Jwk | JsonWebKeySet | undefined): Promise<boolean> {
  const jwt = readUnverifiedJwt(jws)
  if (jwt === undefined) return false
  const set = { ...keySetOf(keys) }
  const dressed = Object.defineProperties(jwt, {
    unverifiedHeader: { value: { ...jwt.unverifiedHeader, typ: 'at+jwt' } },
    unverifiedPayload: { value: { iss: ISSUER, aud: RESOURCE, exp: NOW + 60 } }
  })
  try {
    await verifyJwt(dressed, issuer, { ...rules, keySet: () => set, verifySignature })
    return true
  } catch (error) {
    if (error instanceof InvalidToken) return false
    throw error
  }
}

const label = ({ tcId, comment, group }: Case): string => `${tcId} ${group.comment}: ${comment}`

/** The vectors for which the decision is not the stated result. */
async function disagreements(cases: readonly Case[]): Promise<string[]> {
  const wrong: string[] = []
  for (const one of cases) {
    if ((await accepts(one.jws, one.group.public)) !== (one.result === 'valid')) wrong.push(label(one))
  }
  return wrong
}

const idsOf = (cases: readonly Case[]): number[] => cases.map(({ tcId }) => tcId)
const hasPublicKey = ({ group }: Case): boolean => group.public !== undefined

/** Valid by Wycheproof, refused here: the key names another algorithm than the JWS, or one that does not exist. */
const KEY_NAMES_ANOTHER_ALGORITHM: ReadonlyMap<number, string> = new Map([
  [346, 'JWK alg PS256, JWS alg PS384: one key, one algorithm (RFC 8725 §3.1)'],
  [347, 'JWK alg ES521, which is not registered (the JWS says ES512)'],
  [350, 'JWK alg PS256, JWS alg PS384: one key, one algorithm (RFC 8725 §3.1)'],
  [351, 'JWK alg ES521, which is not registered (the JWS says ES512)']
])

/** Valid by Wycheproof, refused here: no claims are in an empty payload, so it is the payload of no JWT (RFC 7519 §7.2). */
const EMPTY_PAYLOAD = [259, 264, 268, 272, 320, 325]

describe('Wycheproof: JSON Web Signature', () => {
  const { cases, numberOfTests } = read('json_web_signature_test.json')
  const secret = cases.filter((one) => !hasPublicKey(one))
  const asymmetric = cases.filter(hasPublicKey)
  const stricter = asymmetric.filter(({ tcId }) => KEY_NAMES_ANOTHER_ALGORITHM.has(tcId))
  const empty = asymmetric.filter(({ tcId }) => EMPTY_PAYLOAD.includes(tcId))
  const run = asymmetric.filter((one) => !stricter.includes(one) && !empty.includes(one))

  test('runs every signature vector for its result, or lists it with its reason', () => {
    expect(cases).toHaveLength(numberOfTests)
    expect(cases).toHaveLength(401)
    // HMAC groups: 1 hs256, 2 of RFC 7520's figure 35, and the base64 group.
    expect(idsOf(secret)).toEqual([...range(1, 17), 348, 352, ...range(357, 377)])
    expect(secret).toHaveLength(40)
    expect(idsOf(stricter)).toEqual([...KEY_NAMES_ANOTHER_ALGORITHM.keys()])
    expect(idsOf(empty)).toEqual(EMPTY_PAYLOAD)
    expect(run).toHaveLength(401 - 40 - 4 - 6)
  })

  test('JOS-05 JOS-12 ATV-05 (RFC 7515 §5.2): decides as stated for every vector with a public key', async () => {
    expect(run.filter(({ result }) => result === 'valid')).toHaveLength(26)
    expect(await disagreements(run)).toEqual([])
  })

  test('JOS-07 (RFC 8725 §3.1): verifies nothing with a key that names another algorithm, or an unknown one', async () => {
    for (const { jws, group, result } of stricter) {
      expect(result).toBe('valid')
      expect(await accepts(jws, group.public)).toBe(false)
      // Nothing but the key's `alg` is in the way.
      const { alg: _, ...unnamed } = group.public as Jwk
      expect(await accepts(jws, unnamed)).toBe(true)
    }
  })

  test('JOS-03 (RFC 7519 §7.2): refuses a JWS with an empty payload, though its signature is valid', async () => {
    for (const { jws, group, result } of empty) {
      expect(result).toBe('valid')
      expect(await accepts(jws, group.public)).toBe(false)
      const [header, , signature] = jws.split('.') as [string, string, string]
      const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
      const [key] = keySetOf(group.public).find(alg, kid)
      expect(key).toBeDefined()
      expect(key && (await verifySignature(key, `${header}.`, signature))).toBe(true)
    }
  })

  test('JOS-06 KEY-03 (RFC 8725 §2.1): accepts no vector with a secret key, the valid ones included', async () => {
    expect(secret.filter(({ result }) => result === 'valid')).toHaveLength(10)
    for (const { jws, group } of secret) {
      expect(keySetOf(group.private).size).toBe(0)
      expect(await accepts(jws, group.private)).toBe(false)
    }
  })

  test('JOS-01 JOS-02 (RFC 7515 §2): refuses a character outside the alphabet in any segment, before it looks for a key', () => {
    const base64 = secret.filter(({ group }) => group.comment === 'base64')
    expect(base64).toHaveLength(21)
    const readable = base64.filter(({ jws }) => readUnverifiedJwt(jws) !== undefined)
    // 367 and 370 are the very token of 357, in these files; 374 and 375 differ in unused bits of the payload only,
    // which is not decoded before the header was found good. 372 and 373, valid for a lenient decoder, are not here.
    expect(base64.find(({ tcId }) => tcId === 367)?.jws).toBe(base64.find(({ tcId }) => tcId === 357)?.jws)
    expect(base64.find(({ tcId }) => tcId === 370)?.jws).toBe(base64.find(({ tcId }) => tcId === 357)?.jws)
    expect(idsOf(readable)).toEqual([357, 358, 359, 367, 370, 374, 375, 376, 377])
  })
})

describe('Wycheproof: JSON Web Key', () => {
  const { cases, numberOfTests } = read('json_web_key_test.json')
  const secret = cases.filter((one) => !hasPublicKey(one))
  const asymmetric = cases.filter(hasPublicKey)

  test('runs every key vector for its result, or lists it with its reason', () => {
    expect(cases).toHaveLength(numberOfTests)
    expect(cases).toHaveLength(26)
    expect(idsOf(secret)).toEqual([...range(1, 4), ...range(10, 18), 25, 26])
    expect(idsOf(asymmetric)).toEqual([...range(5, 9), ...range(19, 24)])
  })

  test('JOS-12 KEY-02 KEY-06 (RFC 7517 §4): decides as stated for every key vector with a public key', async () => {
    expect(await disagreements(asymmetric)).toEqual([])
  })

  test('JOS-12 KEY-02 KEY-06 (RFC 7517 §4): refuses the key itself, whatever is signed with it', () => {
    const good = asymmetric.filter(({ group }) => keySetOf(group.public).size > 0)
    // A point that is not on its curve shows when the key is imported, which a token that names it brings about.
    expect(good.map(label)).toEqual(['5 rs256: acceptsValid', '22 invalid_point: rejectsModifiedKey'])
    const [, invalidPoint] = good
    const set = keySetOf(invalidPoint?.group.public)
    expect(set.broken()).toHaveLength(1)
  })

  test('KEY-03 (RFC 7517 §9): uses no secret key of a set, alone or beside a public key', async () => {
    for (const { tcId, jws, group } of secret) {
      // Vector 1 is the mixed set: its public key stays usable.
      expect(keySetOf(group.private).size).toBe(tcId === 1 ? 1 : 0)
      expect(await accepts(jws, group.private)).toBe(false)
    }
  })

  test('KEY-03 (RFC 7517 §9): does not use the private half of a key pair in place of its public half', async () => {
    const { jws, group } = asymmetric.find(({ tcId }) => tcId === 5) as Case
    expect(await accepts(jws, group.public)).toBe(true)
    expect(await accepts(jws, group.private)).toBe(false)
  })
})

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}
