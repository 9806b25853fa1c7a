/**
 * Reads a JSON Web Key Set (RFC 7517 §5) into signature keys and finds the keys that may verify a token. Unusable keys
 * are skipped one by one, and the rest stays usable. A private or symmetric key in a published set is never used (RFC
 * 7517 §9).
 *
 * Does NOT fetch, and does NOT decide when a set is too old.
 */
import { createPublicKey, hash, type JsonWebKeyInput, type KeyObject } from 'node:crypto'
import { describeRsaSize, isKid } from '../base/bounds.js'
import type { SignatureAlgorithm } from './algorithms.js'
import { algorithmsFor, createSignatureKey, type SignatureKey } from './algorithms.js'

/** Maximum keys of one set; a longer list is rejected as a whole. */
export const MAX_KEYS = 100

/** Maximum keys tried for one token: those with its `kid`, or those that fit a token without `kid`. */
const MAX_CANDIDATES = 4

/** Maximum imported keys of one set: an imported key takes about ten times the memory of its text. */
export const MAX_IMPORTED = 32

/**
 * Estimated bytes per published key besides its text and twice its name: objects, map entries, a fingerprint
 * (measured).
 */
const KEY_OVERHEAD = 1000

/**
 * Estimated bytes per imported key, and per character of its text (measured with RSA-8192 keys that have verified a
 * signature).
 */
const IMPORTED_OVERHEAD = 4096

const IMPORTED_PER_CHARACTER = 6

/** A longer exponent makes each verification as slow as signing. */
const MAX_EXPONENT_BYTES = 4

const NO_KEYS: readonly SignatureKey[] = Object.freeze([])

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** One published key, kept as text until a token names it. */
interface Published {
  /** Position in the set, for messages. */
  readonly place: string
  readonly kid: string | undefined
  /** The algorithm that the publisher names. */
  readonly alg: string | undefined
  readonly algorithms: readonly SignatureAlgorithm[]
  /** The members that RFC 7638 requires, in its order: enough to import the key, and the input of its thumbprint. */
  readonly text: string
  /** Thumbprints of its certificate (RFC 7517 §4.8, §4.9), base64url. */
  readonly certificates: readonly string[]
  imported: KeyObject | undefined
  isBroken: boolean
  /** Counter of the last use: higher means more recent. */
  used: number
}

/** The keys that fit one `kid` and one algorithm. */
interface Slot {
  readonly keys: Published[]
  /** Keys bound to the algorithm; undefined until a token needs them, and after one of them was evicted. */
  found: readonly SignatureKey[] | undefined
}

/** Thumbprints of a certificate in a token's header (RFC 7515 §4.1.7, §4.1.8). */
export interface CertificateThumbprints {
  readonly x5t: unknown
  readonly 'x5t#S256': unknown
}

export interface KeySet {
  /**
   * Finds and imports the keys for a token's `alg` and `kid`. Without `kid`: the keys of the named certificate if there
   * are any, otherwise all that fit `alg` (RFC 7515 §4.1.4). Empty if more than four fit.
   */
  find(
    algorithm: SignatureAlgorithm,
    kid: string | undefined,
    certificate?: CertificateThumbprints
  ): readonly SignatureKey[]
  /** True if a usable key of the set has this `kid`, whatever its algorithm. */
  has(kid: string): boolean
  /** True if a key without `kid` fits this algorithm. */
  hasUnnamed(algorithm: SignatureAlgorithm): boolean
  /** Number of usable keys that fit this algorithm. */
  count(algorithm: SignatureAlgorithm): number
  /** Estimated bytes held: the text of all keys, and the imported keys. */
  bytes(): number
  /**
   * Imports each key without keeping it, to report configuration errors at start.
   *
   * @returns why each broken key is unusable
   */
  broken(): readonly string[]
  /** Identifies each usable key by its `kid` and material, to compare sets. */
  readonly fingerprints: ReadonlySet<string>
  /** Number of usable published keys. */
  readonly size: number
  /** Why other keys are unusable, for the operator. Excludes keys for another use. */
  readonly skipped: readonly string[]
  /** Number of keys for another use, such as encryption. */
  readonly otherUse: number
  /** True if another process fetched this set. */
  readonly isSecondHand?: boolean
}

/** Called when tokens name keys of the set. */
export interface KeyEvents {
  /** A key could not be imported. */
  readonly broken?: (why: string) => void
  /**
   * A key was imported.
   *
   * @param bytes estimated memory of the imported key
   */
  readonly imported?: (bytes: number) => void
}

/**
 * Reads a key set.
 *
 * @throws {TypeError} not a key set, or more than {@link MAX_KEYS} keys
 */
export function readKeySet(document: unknown, events: KeyEvents = {}): KeySet {
  const keys = (document as Partial<JsonWebKeySet> | null)?.keys
  if (!Array.isArray(keys)) throw new TypeError('not a JSON Web Key Set: `keys` must be an array')
  if (keys.length > MAX_KEYS) throw new TypeError(`a key set of ${keys.length} keys; at most ${MAX_KEYS} are read`)
  const published: Published[] = []
  const fingerprints = new Set<string>()
  const skipped: string[] = []
  let otherUse = 0
  for (const [i, jwk] of keys.entries()) {
    const key = readKey(jwk, `keys[${i}]`)
    if (key === undefined) otherUse++
    else if (typeof key === 'string') skipped.push(`keys[${i}] ${key}`)
    else {
      published.push(key)
      fingerprints.add(JSON.stringify([key.kid, key.alg, sha256(key.text)]))
    }
  }
  return { ...index(published, events), fingerprints, size: fingerprints.size, skipped, otherUse }
}

function index(
  published: readonly Published[],
  events: KeyEvents
): Pick<KeySet, 'find' | 'has' | 'hasUnnamed' | 'count' | 'bytes' | 'broken'> {
  const text = published.reduce((sum, key) => sum + key.text.length + 2 * (key.kid?.length ?? 0) + KEY_OVERHEAD, 0)
  const byKid = new Map<string | undefined, Map<SignatureAlgorithm, Slot>>()
  const byAlgorithm = new Map<SignatureAlgorithm, Slot>()
  for (const key of published)
    for (const algorithm of key.algorithms) {
      const named = byKid.get(key.kid) ?? new Map<SignatureAlgorithm, Slot>()
      byKid.set(key.kid, named)
      addTo(named, algorithm, key)
      addTo(byAlgorithm, algorithm, key)
    }
  const imports = createImports(events, (key) => {
    for (const algorithm of key.algorithms)
      for (const slot of [byKid.get(key.kid)?.get(algorithm), byAlgorithm.get(algorithm)])
        if (slot) slot.found = undefined
  })
  return {
    find: (algorithm, kid, certificate) => {
      const slot = kid === undefined ? byAlgorithm.get(algorithm) : byKid.get(kid)?.get(algorithm)
      if (slot === undefined) return NO_KEYS
      if (kid !== undefined) return imports.bind(slot, algorithm)
      const chosen = certificate && slot.keys.filter((key) => isOf(key, certificate))
      if (chosen?.length) return imports.bind({ keys: chosen, found: undefined }, algorithm)
      return usable(slot) > MAX_CANDIDATES ? NO_KEYS : imports.bind(slot, algorithm)
    },
    has: (kid) => [...(byKid.get(kid)?.values() ?? [])].some((slot) => usable(slot) > 0),
    hasUnnamed: (algorithm) => byKid.get(undefined)?.has(algorithm) ?? false,
    count: (algorithm) => usable(byAlgorithm.get(algorithm)),
    bytes: () => text + imports.bytes(),
    broken: () => published.flatMap(({ place, text }) => (parse(text) ? [] : [`${place} ${BROKEN}`]))
  }
}

function addTo(slots: Map<SignatureAlgorithm, Slot>, algorithm: SignatureAlgorithm, key: Published): void {
  const slot = slots.get(algorithm) ?? { keys: [], found: undefined }
  slot.keys.push(key)
  slots.set(algorithm, slot)
}

function usable(slot: Slot | undefined): number {
  return slot === undefined ? 0 : slot.keys.reduce((count, key) => (key.isBroken ? count : count + 1), 0)
}

/** Holds at most {@link MAX_IMPORTED} imported keys and evicts the least recently used. */
function createImports(
  events: KeyEvents,
  evicted: (key: Published) => void
): { bind(slot: Slot, algorithm: SignatureAlgorithm): readonly SignatureKey[]; bytes(): number } {
  const held = new Set<Published>()
  let bytes = 0
  let uses = 0

  const importOne = (key: Published): KeyObject | undefined => {
    if (key.imported !== undefined || key.isBroken) return key.imported
    key.imported = parse(key.text)
    if (key.imported === undefined) {
      key.isBroken = true
      events.broken?.(`${key.place} ${BROKEN}`)
      return undefined
    }
    const { imported } = key
    held.add(key)
    bytes += weightOf(key)
    if (held.size > MAX_IMPORTED) evictLeastUsed(key)
    events.imported?.(weightOf(key))
    return imported
  }

  const evictLeastUsed = (but: Published): void => {
    let least: Published | undefined
    for (const one of held) if (one !== but && (least === undefined || one.used < least.used)) least = one
    if (least === undefined) return
    held.delete(least)
    bytes -= weightOf(least)
    least.imported = undefined
    evicted(least)
  }

  return {
    bytes: () => bytes,
    bind: (slot, algorithm) => {
      if (slot.found !== undefined) {
        // Every new token comes through here, so no iterator is allocated.
        for (let i = 0; i < slot.keys.length; i++) (slot.keys[i] as Published).used = ++uses
        return slot.found
      }
      const found: SignatureKey[] = []
      for (const key of slot.keys) {
        if (found.length === MAX_CANDIDATES) break
        key.used = ++uses
        const imported = importOne(key)
        if (imported) found.push(createSignatureKey(algorithm, imported))
      }
      slot.found = found
      return found
    }
  }
}

function weightOf({ text }: Published): number {
  return IMPORTED_OVERHEAD + IMPORTED_PER_CHARACTER * text.length
}

/** True if the key was published with the certificate that the token's header names. */
function isOf({ certificates }: Published, { x5t, 'x5t#S256': sha256OfIt }: CertificateThumbprints): boolean {
  return certificates.some((one) => one === sha256OfIt || (sha256OfIt === undefined && one === x5t))
}

/** Reads one key. Returns a text if it is skipped, and undefined if it is for another use. */
function readKey(jwk: unknown, place: string): Published | string | undefined {
  if (typeof jwk !== 'object' || jwk === null) return 'is not an object'
  const members = jwk as Record<string, unknown>
  const kid = members['kid'] ?? undefined
  const use = said(members['use'])
  const operations = said(members['key_ops'])
  const alg = said(members['alg'])
  const { kty, crv } = members
  if (PRIVATE_MEMBERS.some((member) => isSecret(member, members[member])))
    return 'is a private or symmetric key: it must not be published'
  if (kid !== undefined && !isKid(kid)) return 'has an unusable kid'
  if (use !== undefined && use !== 'sig') return isMisspelled(use) ? 'is not for signatures (use)' : undefined
  if (operations !== undefined && !Array.isArray(operations)) return 'is not for verifying (key_ops)'
  if (operations !== undefined && !(operations as unknown[]).includes('verify')) return undefined
  if (isForEncryption(crv, alg)) return undefined
  // A key is used with the published algorithm only, if there is one (RFC 8725 §3.1).
  const algorithms = algorithmsFor(kty, crv).filter((name) => alg === undefined || alg === name)
  if (algorithms.length === 0) return 'has an unsupported combination of kty, crv and alg'
  const problem = inspect(members)
  if (problem !== undefined) return problem
  return {
    place,
    kid,
    alg: alg as string | undefined,
    algorithms,
    text: requiredMembers(members),
    certificates: certificatesOf(members),
    imported: undefined,
    isBroken: false,
    used: 0
  }
}

/** True for a misspelt "sig": `use` is case-sensitive (RFC 7517 §4.2). */
function isMisspelled(use: unknown): boolean {
  return typeof use === 'string' && use.toLowerCase() === 'sig'
}

/** Maps null, an empty text and an empty list to undefined: several servers write them for unset members. */
function said(value: unknown): unknown {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0) ? undefined : value
}

/** True for a private member. Null, or `oth` as an empty list (RFC 7518 §6.3.2.7), does not count. */
function isSecret(member: string, value: unknown): boolean {
  return value !== undefined && value !== null && !(member === 'oth' && said(value) === undefined && value !== '')
}

/**
 * True if a key without `use` is for key agreement or encryption, by its curve or algorithm (RFC 7518 §4, RFC 8037
 * §3.2).
 */
function isForEncryption(crv: unknown, alg: unknown): boolean {
  return crv === 'X25519' || crv === 'X448' || (typeof alg === 'string' && /^(?:RSA-OAEP|RSA1_5|ECDH-ES)/.test(alg))
}

function certificatesOf({ x5t, 'x5t#S256': x5tS256, x5c }: Record<string, unknown>): readonly string[] {
  const published = [x5t, x5tS256].filter(
    (one): one is string => typeof one === 'string' && one !== '' && one.length <= 64
  )
  const [first] = Array.isArray(x5c) ? x5c : []
  if (typeof first !== 'string' || first === '') return published
  const der = Buffer.from(first, 'base64')
  return [...new Set([...published, sha256(der), hash('sha1', der, 'base64url')])]
}

/** The members that RFC 7638 §3.2 requires, ordered by name. JSON omits the undefined ones. */
function requiredMembers({ crv, e, kty, n, x, y }: { readonly [member: string]: unknown }): string {
  return JSON.stringify(kty === 'RSA' ? { e, kty, n } : { crv, kty, x, y: kty === 'EC' ? y : undefined })
}

const BROKEN = 'has missing or invalid members'

function parse(text: string): KeyObject | undefined {
  try {
    return createPublicKey({ key: JSON.parse(text) as JsonWebKeyInput['key'], format: 'jwk' })
  } catch {
    return undefined
  }
}

/** True for a JWK with a private or symmetric member. Neither may be sent (RFC 9449 §4.2, RFC 7517 §9). */
export function isPrivate(jwk: object): boolean {
  return PRIVATE_MEMBERS.some((member) => Object.hasOwn(jwk, member))
}

/** The RFC 7638 thumbprint of a public RSA, EC or OKP key: base64url SHA-256, 43 characters. */
export function thumbprint(key: KeyObject): string {
  return sha256(requiredMembers({ ...key.export({ format: 'jwk' }) }))
}

/** Base64url SHA-256 of bytes, or of a text in UTF-8. */
export function sha256(data: string | Uint8Array): string {
  return hash('sha256', data, 'base64url')
}

/** Imports a public JWK. Returns a text if it is unusable: words that follow "a key that". */
export function importPublicKey(jwk: object): KeyObject | string {
  return inspect(jwk as Record<string, unknown>) ?? parse(requiredMembers(jwk as Record<string, unknown>)) ?? BROKEN
}

/** Checks a public key without importing it. Returns a text if it is unusable: words that follow "a key that". */
function inspect({ kty, crv, n, e, x, y }: Record<string, unknown>): string | undefined {
  if (kty === 'RSA') return inspectRsa(n, e)
  if (typeof x !== 'string' || x === '' || (kty === 'EC' && (typeof y !== 'string' || y === ''))) return BROKEN
  if (crv !== 'Ed25519') return undefined
  const point = Buffer.from(x, 'base64url')
  if (point.length !== 32) return BROKEN
  return isSmallOrder(point) ? 'is of small order: anyone can sign for it' : undefined
}

function inspectRsa(n: unknown, e: unknown): string | undefined {
  if (typeof n !== 'string' || typeof e !== 'string') return BROKEN
  const modulus = numberOf(n)
  const exponent = numberOf(e)
  if (modulus === undefined || exponent === undefined) return BROKEN
  const bits = modulus.length * 8 - (Math.clz32(modulus[0] as number) - 24)
  const problem = describeRsaSize(bits)
  if (problem !== undefined) return problem
  const value = exponent.length > MAX_EXPONENT_BYTES ? 0 : exponent.readUIntBE(0, exponent.length)
  if (value < 3 || value % 2 === 0) return 'has an unusable RSA exponent'
  return isRoca(modulus) ? 'has a modulus whose factors can be computed (CVE-2017-15361)' : undefined
}

/** Bytes of a number without leading zeros; undefined for zero or an empty text. */
function numberOf(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  const first = bytes.findIndex((byte) => byte !== 0)
  return first === -1 ? undefined : bytes.subarray(first)
}

/** Little-endian y coordinates of the eight Ed25519 points of small order. 0 and 1 also appear as p and p + 1. */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'
])

/** Signatures for such a key can be forged without a private key (RFC 8032 §5.1.7 does not exclude it). */
function isSmallOrder(point: Buffer): boolean {
  const y = Buffer.from(point)
  // Clears the sign bit of x.
  y[31] = (y[31] as number) & 0x7f
  return SMALL_ORDER.has(y.toString('hex'))
}

/** Moduli of the flawed generator are powers of 65537 modulo each of these primes; other moduli hardly ever are. */
const ROCA_PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167
]

/** True for a modulus of the flawed generator ("ROCA"): anyone can compute the private key from the public one. */
function isRoca(bytes: Buffer): boolean {
  const modulus = BigInt(`0x${bytes.toString('hex')}`)
  return ROCA_PRIMES.every((prime) => {
    const rest = Number(modulus % BigInt(prime))
    for (let exponent = 0, power = 1; exponent < prime; exponent++) {
      if (power === rest) return true
      power = (power * 65_537) % prime
    }
    return false
  })
}

/** A JSON Web Key Set as published (RFC 7517 §5). */
export interface JsonWebKeySet {
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}
