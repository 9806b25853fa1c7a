/** Signatures: the same decision on this thread and on another, and nothing but the exact form of each algorithm. */
import { constants, createPublicKey, type KeyObject, pbkdf2, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { isPromise } from '../src/awaitable.js'
import {
  algorithmsFor,
  createSignatureKey,
  createVerifySignature,
  SIGNATURE_ALGORITHMS,
  type SignatureKey
} from '../src/signature.js'
import type { SignatureAlgorithm } from '../src/types.js'
import { createSigningKey, type SigningKey, signature } from './support/issuer.js'
import { accessToken, api, bearer, keySet, outcome } from './support/refusals.js'

const text = 'header.payload'
const input = Buffer.from(text)
const rsa = createSigningKey('RS256')
const keys = new Map<SignatureAlgorithm, SigningKey>(
  SIGNATURE_ALGORITHMS.map((alg) => [alg, /^[RP]S/.test(alg) ? { ...rsa, alg } : createSigningKey(alg)])
)

function segment(bytes: Buffer): string {
  return bytes.toString('base64url')
}

/** Lets every check of this turn be one that is not synchronous, or one that is. */
async function decide(alg: SignatureAlgorithm, bytes: Buffer, burst: boolean): Promise<boolean> {
  const verify = createVerifySignature()
  const key = createSignatureKey(alg, (keys.get(alg) as SigningKey).publicKey)
  if (burst) for (const _ of [1, 2]) void verify(key, text, segment(Buffer.alloc(key.signatureLength)))
  const result = verify(key, text, segment(bytes))
  if (bytes.length === key.signatureLength) expect(isPromise(result)).toBe(burst)
  return await result
}

function good(alg: SignatureAlgorithm): Buffer {
  return Buffer.from(signature(input.toString(), keys.get(alg) as SigningKey))
}

describe.each([
  ['on this thread', false],
  ['on the pool', true]
] as const)('%s', (_, burst) => {
  test.each(SIGNATURE_ALGORITHMS)(
    'ATV-05 JOS-12: %s accepts its signature, and not with a bit flipped or a byte more or less',
    async (alg) => {
      const bytes = good(alg)
      expect(await decide(alg, bytes, burst)).toBe(true)
      const flipped = Buffer.from(bytes)
      flipped[flipped.length - 1] = (flipped.at(-1) as number) ^ 1
      const others = [
        flipped,
        bytes.subarray(1),
        bytes.subarray(0, -1),
        Buffer.concat([bytes, Buffer.alloc(1)]),
        Buffer.alloc(0)
      ]
      for (const one of others) expect(await decide(alg, one, burst)).toBe(false)
      expect(await decide(alg, Buffer.alloc(bytes.length), burst)).toBe(false)
      expect(await decide(alg, Buffer.alloc(bytes.length, 0xff), burst)).toBe(false)
    }
  )

  test('JOS-12 (RFC 7518 §3.4): ECDSA in DER is refused, whatever its length', async () => {
    const key = (keys.get('ES256') as SigningKey).privateKey
    for (let i = 0; i < 8; i++) expect(await decide('ES256', sign('sha256', input, key), burst)).toBe(false)
  })

  test('JOS-12 (RFC 7518 §3.5): a PSS salt of another length than the digest is refused', async () => {
    const key = rsa.privateKey
    const padding = constants.RSA_PKCS1_PSS_PADDING
    for (const [saltLength, accepted] of [
      [32, true],
      [0, false],
      [20, false],
      [31, false],
      [33, false],
      [64, false]
    ] as const) {
      const bytes = sign('sha256', input, { key, padding, saltLength })
      expect(await decide('PS256', bytes, burst)).toBe(accepted)
    }
  })

  test('JOS-07: one RSA padding is not the other, and one digest not another', async () => {
    for (const [made, taken] of [
      ['RS256', 'PS256'],
      ['PS256', 'RS256'],
      ['RS256', 'RS384'],
      ['PS512', 'PS256']
    ] as const) {
      expect(await decide(taken, good(made), burst)).toBe(false)
    }
  })
})

describe('what is long', () => {
  test('is checked as what is short is, on this thread and on the pool', async () => {
    const { publicKey, privateKey } = keys.get('ES256') as SigningKey
    const key = createSignatureKey('ES256', publicKey)
    for (const length of [32 * 1024 - 87, 32 * 1024 - 86, 32 * 1024 - 85, 32 * 1024, 100_000]) {
      const long = 'a'.repeat(length)
      const right = segment(sign('sha256', Buffer.from(long), { key: privateKey, dsaEncoding: 'ieee-p1363' }))
      const verify = createVerifySignature()
      const results = [long, `${long}a`, long, long.slice(1)].map((one) => verify(key, one, right))
      expect(results.map((one) => isPromise(one))).toEqual([false, false, true, true])
      expect(await Promise.all(results.map(async (one) => one))).toEqual([true, false, true, false])
    }
  })
})

describe('a burst', () => {
  test('two checks in a turn are synchronous, the next ones are given to the pool, and all decide the same', async () => {
    const verify = createVerifySignature()
    const key = createSignatureKey('ES256', (keys.get('ES256') as SigningKey).publicKey)
    const bytes = good('ES256')
    const wrong = Buffer.from(bytes)
    wrong[0] = (wrong[0] as number) ^ 1
    const results = Array.from({ length: 90 }, (_, i) => verify(key, text, segment(i % 2 ? wrong : bytes)))
    const where = results.map((one) => (isPromise(one) ? 'pool' : 'here'))
    expect(where.slice(0, 2)).toEqual(['here', 'here'])
    // 64 at most wait for the pool; what comes on top is done here.
    expect(where.slice(2, 66)).toEqual(Array.from({ length: 64 }, () => 'pool'))
    expect(where.slice(66)).toEqual(Array.from({ length: 24 }, () => 'here'))
    expect(await Promise.all(results.map(async (one) => one))).toEqual(results.map((_, i) => i % 2 === 0))
    await new Promise((resolve) => setImmediate(resolve))
    expect(isPromise(verify(key, text, segment(bytes)))).toBe(false)
  })

  test('what came back from the pool has left its place to others', async () => {
    const verify = createVerifySignature()
    const key = createSignatureKey('ES256', (keys.get('ES256') as SigningKey).publicKey)
    const bytes = good('ES256')
    for (let round = 0; round < 3; round++) {
      const results = Array.from({ length: 70 }, () => verify(key, text, segment(bytes)))
      expect(results.filter(isPromise)).toHaveLength(64)
      await Promise.all(results.map(async (one) => one))
      await new Promise((resolve) => setImmediate(resolve))
    }
  })

  test('each turn has one of its own at least, and two at most, whatever the one before had', async () => {
    const verify = createVerifySignature()
    const key = createSignatureKey('ES256', (keys.get('ES256') as SigningKey).publicKey)
    const bytes = good('ES256')
    const turn = async (): Promise<readonly boolean[]> => {
      const results = [1, 2, 3].map(() => verify(key, text, segment(bytes)))
      await Promise.all(results.map(async (one) => one))
      await new Promise((resolve) => setImmediate(resolve))
      return results.map((one) => isPromise(one))
    }
    expect(isPromise(verify(key, text, segment(bytes)))).toBe(false)
    await new Promise((resolve) => setImmediate(resolve))
    expect(await turn()).toEqual([false, true, true])
    expect(await turn()).toEqual([false, false, true])
  })

  test('while the pool is at work, it is given all that costs more than the way there', async () => {
    const verify = createVerifySignature()
    const pairOf = (modulusLength: number): readonly [SignatureKey, string] => {
      const pair = createSigningKey('RS256', { modulusLength })
      return [createSignatureKey('RS256', pair.publicKey), segment(Buffer.from(signature(text, pair)))]
    }
    const ec = createSignatureKey('ES256', (keys.get('ES256') as SigningKey).publicKey)
    const [cheap, dear] = [pairOf(2048), pairOf(3072)]
    const signed = segment(good('ES256'))
    // Every thread of it is busy with something else, and what it is given waits behind that.
    const busy = Promise.all(Array.from({ length: 8 }, () => promisify(pbkdf2)('', '', 400_000, 32, 'sha256')))
    const first = [1, 2, 3].map(() => verify(ec, text, signed))
    await new Promise((resolve) => setImmediate(resolve))
    const second = [verify(ec, text, signed), verify(dear[0], text, dear[1])]
    await new Promise((resolve) => setImmediate(resolve))
    const third = [1, 2, 3].map(() => verify(cheap[0], text, cheap[1]))
    expect([first, second, third].map((turn) => turn.map((one) => isPromise(one)))).toEqual([
      [false, false, true],
      [true, true],
      [false, false, true]
    ])
    for (const one of [...first, ...second, ...third]) expect(await one).toBe(true)
    await busy
  })

  test('a pool that gives nothing back for 5 ms is given no more than the rest of a burst', async () => {
    let now = 100
    const verify = createVerifySignature(() => now)
    const key = createSignatureKey('ES256', (keys.get('ES256') as SigningKey).publicKey)
    const signed = segment(good('ES256'))
    const busy = Promise.all(Array.from({ length: 8 }, () => promisify(pbkdf2)('', '', 400_000, 32, 'sha256')))
    const turns: boolean[][] = []
    const waiting: (boolean | Promise<boolean>)[] = []
    for (now of [100, 105, 106]) {
      const results = [1, 2, 3].map(() => verify(key, text, signed))
      turns.push(results.map((one) => isPromise(one)))
      waiting.push(...results)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(turns).toEqual([
      [false, false, true],
      [true, true, true],
      [false, false, true]
    ])
    for (const one of waiting) expect(await one).toBe(true)
    await busy
  })

  test('a signature of another length is not looked at, and takes nobody’s turn', () => {
    const verify = createVerifySignature()
    const key = createSignatureKey('ES256', (keys.get('ES256') as SigningKey).publicKey)
    const bytes = good('ES256')
    for (let i = 0; i < 10; i++) expect(verify(key, text, segment(bytes.subarray(1)))).toBe(false)
    expect(verify(key, text, segment(bytes))).toBe(true)
  })

  test('what the pool cannot do is an error, and no answer', async () => {
    const verify = createVerifySignature()
    const unfit = {
      digest: 'sha256',
      input: { key: (keys.get('EdDSA') as SigningKey).publicKey },
      signatureLength: 64,
      isCheap: false
    }
    const good256 = createSignatureKey('ES256', (keys.get('ES256') as SigningKey).publicKey)
    for (const _ of [1, 2]) void verify(good256, text, segment(good('ES256')))
    await expect(verify(unfit, text, segment(Buffer.alloc(64)))).rejects.toThrow()
  })

  test('of requests decides each by itself', async () => {
    const server = api()
    const tokens = Array.from({ length: 60 }, (_, i) => {
      const token = accessToken({ claims: { jti: `t${i}` } })
      return i % 3 ? token : `${token.slice(0, -8)}${token.slice(-8) === 'AAAAAAAA' ? 'BBBBBBBA' : 'AAAAAAAA'}`
    })
    const statuses = await Promise.all(tokens.map(async (token) => (await outcome(server, bearer(token))).status))
    expect(statuses).toEqual(tokens.map((_, i) => (i % 3 ? 200 : 401)))
  })
})

describe('keys', () => {
  test('JOS-07 DEF-03: a type and a curve have their algorithms, and others none', () => {
    expect(algorithmsFor('RSA', undefined)).toEqual(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'])
    expect([algorithmsFor('EC', 'P-256'), algorithmsFor('EC', 'P-384'), algorithmsFor('EC', 'P-521')]).toEqual([
      ['ES256'],
      ['ES384'],
      ['ES512']
    ])
    expect(algorithmsFor('OKP', 'Ed25519')).toEqual(['EdDSA', 'Ed25519'])
    for (const [kty, crv] of [
      ['EC', 'secp256k1'],
      ['EC', undefined],
      ['OKP', 'Ed448'],
      ['OKP', 'X25519'],
      ['oct', undefined],
      [1, 2]
    ]) {
      expect(algorithmsFor(kty, crv)).toEqual([])
    }
  })

  test('JOS-12 (RFC 7518 §3.3): RSA keys below 2048 bits stop the start where they are configured', () => {
    const weak = createSigningKey('RS256', { modulusLength: 1024 })
    expect(() => api({}, { jwks: keySet(weak) })).toThrow('keys[0] has 1024 bits; RSA keys need 2048 to 8192')
  })

  test('an odd modulus length has signatures of as many bytes as it needs', () => {
    const odd = createSigningKey('RS256', { modulusLength: 2052 })
    expect(createSignatureKey('RS256', odd.publicKey).signatureLength).toBe(257)
    const verify = createVerifySignature()
    const bytes = Buffer.from(signature(input.toString(), odd))
    expect(verify(createSignatureKey('RS256', odd.publicKey), text, segment(bytes))).toBe(true)
  })

  test('a key is made once, from public parts only', () => {
    const { publicKey } = keys.get('ES256') as SigningKey
    const { input: made } = createSignatureKey(
      'ES256',
      createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }))
    )
    expect((made.key as KeyObject).type).toBe('public')
  })
})
