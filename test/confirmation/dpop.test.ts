/** DPoP proofs against somebody who tries: odd keys, odd JSON, odd texts, and what is remembered of a proof's header. */
import { createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CacheStats, DpopOptions, ResourceRequest, ResourceServer } from '../../src/index.js'
import {
  bindingRefused,
  createDpopKey,
  dpopRefused,
  type PROOF_TEXTS,
  type Proof,
  proofRefused,
  thumbprintOf
} from '../support/dpop.js'
import { type Algorithm, base64url, createSigningKey, type SigningKey, signature, signJws } from '../support/issuer.js'
import { accessToken, api, get, granted, NOW, type Outcome, outcome, refusal } from '../support/refusals.js'

type JsonObject = Record<string, unknown>

const key = createDpopKey()
const token = boundTo(key.jkt)

function boundTo(jkt: unknown): string {
  return accessToken({ claims: { cnf: { jkt } } })
}

function dpop(proof: string | readonly string[], sent = token): ResourceRequest {
  return get({ authorization: `DPoP ${sent}`, dpop: proof })
}

const server = (options: DpopOptions = {}): ResourceServer => api({ dpop: options })

/** What becomes of a proof with this jwk, for a token that is bound to it in the way of RFC 7638. */
function withJwk(
  jwk: JsonObject,
  more: Proof & { readonly alg?: Algorithm; readonly by?: SigningKey } = {}
): Promise<Outcome> {
  const bound = boundTo(thumbprintOf(jwk))
  const { alg = 'ES256', by = key.key, ...proof } = more
  const request = dpop(
    createDpopKey(alg, by).proof({ token: bound, ...proof, header: { alg, jwk, ...proof.header } }),
    bound
  )
  return outcome(server(), request)
}

function rsa(modulusLength: number, publicExponent = 65_537): SigningKey {
  const pair = generateKeyPairSync('rsa', { modulusLength, publicExponent })
  return asSigningKey('RS256', pair)
}

function asSigningKey(alg: Algorithm, pair: { publicKey: KeyObject; privateKey: KeyObject }): SigningKey {
  return { kid: 'k', alg, ...pair, publicJwk: { ...pair.publicKey.export({ format: 'jwk' }) } }
}

describe('keys', () => {
  test('DPP-07 (RFC 7518 §3.3): accepts RSA keys of 2048 to 8192 bits only', async () => {
    for (const [bits, expected] of [
      [1024, proofRefused('proof_key')],
      [2040, proofRefused('proof_key')],
      [2048, granted],
      [3072, granted]
    ] as const) {
      const one = rsa(bits)
      expect(await withJwk(one.publicJwk, { by: one, alg: 'RS256' }), `${bits}`).toEqual(expected)
    }
    // Making such keys takes long; their signature is not looked at.
    const modulus = (bits: number): string => Buffer.alloc(bits / 8, 0xff).toString('base64url')
    for (const bits of [8200, 9216, 16_384]) {
      const jwk = { kty: 'RSA', n: modulus(bits), e: 'AQAB' }
      const { reason } = await withJwk(jwk, { by: rsa(2048), alg: 'RS256' })
      expect(['proof_key', 'proof_malformed'], `${bits}`).toContain(reason)
    }
    const largest = await withJwk({ kty: 'RSA', n: modulus(8192), e: 'AQAB' }, { by: rsa(2048), alg: 'RS256' })
    expect(largest).toEqual(proofRefused('proof_signature'))
  })

  test('DPP-07: refuses an invalid RSA exponent', async () => {
    const { publicJwk } = rsa(2048)
    for (const e of ['AQ', 'Ag', 'AA', '', 'AQABAQAB', 'AAAAAQ']) {
      const { status, reason } = await withJwk({ ...publicJwk, e }, { by: rsa(2048), alg: 'RS256' })
      expect([status, reason], e).toEqual([401, 'proof_key'])
    }
  })

  test('an impossible RSA modulus invalidates only its own signature', async () => {
    const by = rsa(2048)
    const n = Buffer.from(by.publicJwk['n'] as string, 'base64url')
    const even = Buffer.from(n)
    even[255] = (even[255] as number) & 0xfe
    const zeros = Buffer.concat([Buffer.from([0x80]), Buffer.alloc(255)])
    for (const modulus of [even, zeros]) {
      const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' }
      for (const alg of ['RS256', 'PS256'] as const)
        expect(await withJwk(jwk, { by: { ...by, alg }, alg })).toEqual(proofRefused('proof_signature'))
    }
  })

  test('DPP-07: refuses a point that is not on its curve', async () => {
    const { x, y } = key.jwk as { x: string; y: string }
    const moved = Buffer.from(y, 'base64url')
    moved[31] = (moved[31] as number) ^ 1
    const points: readonly JsonObject[] = [
      { x, y: moved.toString('base64url') },
      { x: y, y: x },
      { x: 'A'.repeat(43), y: 'A'.repeat(43) },
      { x: '', y: '' },
      { x },
      { x, y: 1 },
      { x: x.slice(0, 20), y },
      { x: Buffer.alloc(32, 0xff).toString('base64url'), y: Buffer.alloc(32, 0xff).toString('base64url') }
    ]
    for (const point of points)
      expect(await withJwk({ kty: 'EC', crv: 'P-256', ...point }), JSON.stringify(point)).toEqual(
        proofRefused('proof_key')
      )
  })

  test('DPP-07: refuses a curve that no supported algorithm uses', async () => {
    const { x } = createDpopKey('EdDSA').jwk
    for (const jwk of [
      { ...key.jwk, crv: 'secp256k1' },
      { ...key.jwk, crv: 'P-384' },
      { ...key.jwk, crv: 'p-256' },
      { ...key.jwk, crv: undefined },
      { ...key.jwk, crv: ['P-256'] },
      { ...key.jwk, kty: 'ec' },
      { ...key.jwk, kty: ['EC'] },
      { ...key.jwk, kty: '__proto__' },
      { kty: 'OKP', crv: 'X25519', x },
      { kty: 'OKP', crv: 'Ed448', x },
      { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' },
      { kty: 'OKP', crv: 'Ed25519' },
      { kty: 'oct', k: 'c2VjcmV0' },
      { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AAAA' }
    ] as JsonObject[])
      for (const alg of ['ES256', 'EdDSA'] as const)
        expect(await withJwk(jwk, { header: { alg } }), JSON.stringify(jwk)).toMatchObject({ reason: 'proof_key' })
  })

  test('DPP-05: the key decides the algorithm, whatever the header says', async () => {
    const keys: readonly SigningKey[] = [key.key, rsa(2048), createSigningKey('EdDSA'), createSigningKey('ES384')]
    const algorithms: readonly Algorithm[] = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA', 'Ed25519']
    const families: Record<string, readonly string[]> = {
      ES256: ['ES256'],
      RS256: ['RS256', 'PS256'],
      EdDSA: ['EdDSA', 'Ed25519'],
      ES384: ['ES384']
    }
    for (const by of keys) {
      const bound = boundTo(createDpopKey(by.alg, by).jkt)
      for (const alg of algorithms) {
        const proof = createDpopKey(by.alg, by).proof({ token: bound, header: { alg } })
        const { reason = 'granted' } = await outcome(api({ dpop: { advertise: true, algorithms } }), dpop(proof, bound))
        const fits = families[by.alg]?.includes(alg)
        // RS256 signed, PS256 named: a key of either, and not a signature of both.
        const expected = !fits ? 'proof_key' : alg === 'PS256' ? 'proof_signature' : 'granted'
        expect(reason, `${by.alg} as ${alg}`).toBe(expected)
      }
    }
  })

  test('DPP-05: refuses a MAC with the public key as its secret', async () => {
    const secrets = [
      key.key.publicKey.export({ type: 'spki', format: 'pem' }),
      key.key.publicKey.export({ type: 'spki', format: 'der' }),
      JSON.stringify(key.jwk)
    ]
    const { createSecretKey } = await import('node:crypto')
    for (const secret of secrets) {
      const mac = { alg: 'HS256', privateKey: createSecretKey(Buffer.from(secret)) } as const
      for (const jwk of [key.jwk, { kty: 'oct', k: base64url(secret) }])
        expect(await outcome(server(), dpop(key.proof({ token, key: mac, header: { alg: 'HS256', jwk } })))).toEqual(
          proofRefused('proof_algorithm')
        )
    }
  })

  test('DPP-06 (RFC 7518 §3.4): accepts an ECDSA signature only as two numbers of 32 bytes: not DER, not shorter, not longer', async () => {
    const der = (input: string): Uint8Array => {
      const raw = signature(input, key.key)
      const half = (bytes: Uint8Array): Buffer => {
        const positive = (bytes[0] as number) > 127 ? Buffer.concat([Buffer.alloc(1), bytes]) : Buffer.from(bytes)
        return Buffer.concat([Buffer.from([2, positive.length]), positive])
      }
      const body = Buffer.concat([half(raw.subarray(0, 32)), half(raw.subarray(32))])
      return Buffer.concat([Buffer.from([0x30, body.length]), body])
    }
    for (const sign of [
      der,
      (input: string) => signature(input, key.key).subarray(0, 63),
      (input: string) => Buffer.concat([signature(input, key.key), Buffer.alloc(1)]),
      (input: string) => Buffer.concat([Buffer.alloc(1), signature(input, key.key)])
    ])
      expect(await outcome(server(), dpop(key.proof({ token, sign })))).toEqual(proofRefused('proof_signature'))
  })

  test('DPP-18 (RFC 7638 §3): computes the thumbprint over the required members only, in canonical form', async () => {
    const { kty, crv, x, y } = key.jwk
    for (const jwk of [
      { y, x, crv, kty },
      { ...key.jwk, kid: 'a', alg: 'ES256', use: 'sig', ext: true, key_ops: ['verify'] },
      { ...key.jwk, e: 'AQAB', n: 'AQAB' },
      { ...key.jwk, x5c: ['AAAA'], 'x5t#S256': 'x', jku: 'https://evil.example' }
    ])
      expect(await outcome(server(), dpop(key.proof({ token, header: { jwk } })))).toEqual(granted)
  })

  test('ignores jku, x5u, x5c and kid in the header', async () => {
    const header = { jku: 'https://evil.example/jwks', x5u: 'https://evil.example/x', x5c: ['AAAA'], kid: '../../etc' }
    expect(await outcome(server(), dpop(key.proof({ token, header })))).toEqual(granted)
    expect(await outcome(server(), dpop(key.proof({ token, header: { ...header, jwk: undefined } })))).toEqual(
      proofRefused('proof_claim')
    )
  })

  test('DPP-07: refuses a private key in the header without repeating it', async () => {
    const jwk = key.key.privateKey.export({ format: 'jwk' }) as JsonWebKey & JsonObject
    expect(await outcome(server(), dpop(key.proof({ token, header: { jwk } })))).toEqual(proofRefused('proof_key'))
    const one = rsa(2048)
    const privateJwk = one.privateKey.export({ format: 'jwk' }) as JsonObject
    const bound = boundTo(thumbprintOf(one.publicJwk))
    const proof = createDpopKey('RS256', one).proof({ token: bound, header: { jwk: privateJwk } })
    const { reason } = await outcome(server(), dpop(proof, bound))
    // With all its members it may be too long before it is looked at.
    expect(['proof_key', 'proof_malformed']).toContain(reason)
  })
})

describe('JSON', () => {
  /** A proof of these very texts. */
  const raw = (header: string, payload: string): string => signJws(header, payload, key.key)
  const jwk = JSON.stringify(key.jwk)
  const claims = JSON.parse(
    Buffer.from(key.proof({ token }).split('.')[1] as string, 'base64url').toString()
  ) as JsonObject
  const { htm: _htm, ...withoutHtm } = claims
  const fresh = (text: string): string => text.replace(/"jti":"[^"]*"/, `"jti":"${Math.random()}"`)

  test('uses the last of repeated members (RFC 7515 §4)', async () => {
    const good = `{"typ":"JWT","typ":"dpop+jwt","alg":"none","alg":"ES256","jwk":${jwk}}`
    const bad = `{"typ":"dpop+jwt","alg":"ES256","alg":"none","jwk":${jwk}}`
    expect(await outcome(server(), dpop(raw(good, fresh(JSON.stringify(claims)))))).toEqual(granted)
    expect(await outcome(server(), dpop(raw(bad, fresh(JSON.stringify(claims)))))).toEqual(
      proofRefused('proof_algorithm')
    )
    const header = `{"typ":"dpop+jwt","alg":"ES256","jwk":${jwk}}`
    const twice = `{"htm":"GET","htm":"PUT",${JSON.stringify(withoutHtm).slice(1)}`
    expect(await outcome(server(), dpop(raw(header, fresh(twice))))).toEqual(proofRefused('proof_method'))
  })

  test('ignores white space, escapes and the order of members', async () => {
    const header = ` {\n "jwk" : ${jwk} ,\t"alg":"\\u0045S256","typ":"dpop+jwt" } `
    expect(await outcome(server(), dpop(raw(header, JSON.stringify(claims, null, 2))))).toEqual(granted)
  })

  test('does not read inherited members', async () => {
    const header = `{"typ":"dpop+jwt","alg":"ES256","jwk":${jwk}}`
    for (const payload of [
      `{"__proto__":${JSON.stringify(claims)}}`,
      `{"__proto__":${JSON.stringify(claims)},"constructor":{"prototype":${JSON.stringify(claims)}}}`
    ])
      expect(await outcome(server(), dpop(raw(header, payload)))).toEqual(proofRefused('proof_claim'))
    expect(await outcome(server(), dpop(raw(`{"__proto__":${header}}`, JSON.stringify(claims))))).toEqual(
      proofRefused('proof_claim')
    )
    const inherited = `{"typ":"dpop+jwt","alg":"ES256","jwk":{"__proto__":${jwk}}}`
    expect(await outcome(server(), dpop(raw(inherited, JSON.stringify(claims))))).toEqual(proofRefused('proof_key'))
    expect(({} as JsonObject)['jti']).toBeUndefined()
  })

  test('__proto__ among the claims changes nothing', async () => {
    const header = `{"__proto__":{"crit":["x"]},"typ":"dpop+jwt","alg":"ES256","jwk":${jwk}}`
    const payload = `{"__proto__":{"exp":1,"htm":"PUT"},${fresh(JSON.stringify(claims)).slice(1)}`
    expect(await outcome(server(), dpop(raw(header, payload)))).toEqual(granted)
  })

  test('refuses as malformed: text that is not JSON, a byte order mark, a number out of range, NaN', async () => {
    const header = `{"typ":"dpop+jwt","alg":"ES256","jwk":${jwk}}`
    const good = JSON.stringify(claims)
    for (const payload of [
      `\ufeff${good}`,
      `${good}x`,
      `${good}${good}`,
      good.slice(0, -1),
      'null',
      '"x"',
      '1',
      '[]',
      good.replace(/"iat":\d+/, '"iat":1e999'),
      good.replace(/"iat":\d+/, '"iat":NaN'),
      good.replace(/"iat":\d+/, '"iat":01')
    ])
      expect(await outcome(server(), dpop(raw(header, payload))), payload).toEqual(proofRefused('proof_malformed'))
  })
})

describe('texts', () => {
  test('DPP-02 JOS-02 (RFC 7515 §2): refuses base64url that is not canonical as malformed, in every segment', async () => {
    const good = key.proof({ token, claims: { pad: '' } })
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (const [i, part] of good.split('.').entries()) {
      const variants = [`${part}=`, `${part} `, `${part}\n`, `${part}+`, `${part}/`, `${part}\u0000`]
      const rest = part.length % 4
      if (rest > 1) variants.push(part.slice(0, -1) + alphabet[alphabet.indexOf(part.at(-1) as string) | 1])
      if (rest === 0) variants.push(`${part}A`)
      for (const variant of variants) {
        const proof = good.split('.').with(i, variant).join('.')
        if (proof === good) continue
        expect(await outcome(server(), dpop(proof)), JSON.stringify(variant)).toMatchObject({ status: 401 })
        expect((await outcome(server(), dpop(proof))).reason).toMatch(/^proof_(malformed|signature|claim)$/)
      }
    }
  })

  test('the unused bits of a signature’s last character do not make a second proof', async () => {
    // Two texts of the same bytes would be two entries for a store that keeps texts.
    const one = server()
    const good = key.proof({ token })
    expect(await outcome(one, dpop(good))).toEqual(granted)
    const last = good.at(-1) as string
    for (const other of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      if (other === last) continue
      expect(await outcome(one, dpop(good.slice(0, -1) + other))).toMatchObject({ status: 401 })
    }
  })

  test('DPP-02: reads a proof of 4096 characters, and refuses one of 4097 as malformed', async () => {
    const padded = (x: string, padding: string): string => key.proof({ token, header: { x }, claims: { padding } })
    const ofLength = (length: number): string | undefined => {
      const most = length - padded('', '').length
      for (let n = Math.floor(most * 0.74); n <= most; n++)
        for (const x of ['', 'x', 'xx']) {
          const proof = padded(x, 'x'.repeat(n))
          if (proof.length === length) return proof
        }
      return undefined
    }
    expect(await outcome(server(), dpop(ofLength(4096) ?? []))).toEqual(granted)
    expect(await outcome(server(), dpop(ofLength(4097) ?? []))).toEqual(proofRefused('proof_malformed'))
  })

  test('answers any text with a refusal', async () => {
    const one = server()
    const good = key.proof({ token })
    const parts = good.split('.') as [string, string, string]
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.base64String(),
      fc
        .tuple(fc.nat({ max: good.length - 1 }), fc.string({ minLength: 1, maxLength: 3 }))
        .map(([at, insert]) => good.slice(0, at) + insert + good.slice(at + insert.length)),
      fc.json().map((json) => `${parts[0]}.${base64url(json)}.${parts[2]}`),
      fc.json().map((json) => `${base64url(json)}.${parts[1]}.${parts[2]}`)
    )
    await fc.assert(
      fc.asyncProperty(text, async (proof) => {
        fc.pre(proof !== good)
        const { status, code } = await outcome(one, dpop(proof))
        expect([status, code]).toEqual([401, 'invalid_dpop_proof'])
      }),
      { numRuns: 500 }
    )
    expect(await outcome(one, dpop(good))).toEqual(granted)
  })

  test('answers any claims, signed by the right key, with a refusal or a grant', async () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom('GET', 'https://api.example.com/items', NOW, NOW - 60, NOW + 10, '', 'x')
    )
    const record = fc.record({
      jti: value,
      htm: value,
      htu: value,
      iat: value,
      ath: value,
      nonce: value,
      exp: value,
      nbf: value
    })
    await fc.assert(
      fc.asyncProperty(
        record,
        fc.subarray(['jti', 'htm', 'htu', 'iat', 'ath', 'nonce', 'exp', 'nbf']),
        async (all, keep) => {
          const claims = Object.fromEntries(keep.map((name) => [name, all[name as keyof typeof all]]))
          for (const nonces of ['off', 'offered', 'required'] as const) {
            const { status } = await outcome(server({ nonces }), dpop(key.proof({ token, claims })))
            expect([200, 401]).toContain(status)
          }
        }
      ),
      { numRuns: 200 }
    )
  })
})

describe('the cache of proof headers', () => {
  test('does not confirm another token by a key that was used for one token', async () => {
    const one = server()
    expect(await outcome(one, dpop(key.proof({ token })))).toEqual(granted)
    const another = boundTo(createDpopKey().jkt)
    expect(await outcome(one, dpop(key.proof({ token: another }), another))).toEqual(bindingRefused)
    expect(await outcome(one, dpop(key.proof({ token })))).toEqual(granted)
  })

  test('parses a header again if typ, alg or jwk differ', async () => {
    const one = server()
    expect(await outcome(one, dpop(key.proof({ token })))).toEqual(granted)
    const other = createDpopKey()
    for (const [header, reason] of [
      [{ typ: 'JWT' }, 'proof_type'],
      [{ alg: 'none' }, 'proof_algorithm'],
      [{ alg: 'RS256' }, 'proof_key'],
      [{ crit: ['x'] }, 'proof_malformed'],
      [{ jwk: { ...key.jwk, d: 'x' } }, 'proof_key'],
      [{ jwk: other.jwk }, 'proof_signature']
    ] as const)
      for (const _ of [1, 2])
        expect(await outcome(one, dpop(key.proof({ token, header })))).toEqual(proofRefused(reason))
    expect(await outcome(one, dpop(other.proof({ token })))).toEqual(bindingRefused)
  })

  test('DPP-05: is not shared between servers with different algorithms', async () => {
    const [wide, narrow] = [server({ algorithms: ['ES256'] }), server({ algorithms: ['ES384', 'EdDSA'] })]
    for (const _ of [1, 2]) {
      expect(await outcome(wide, dpop(key.proof({ token })))).toEqual(granted)
      expect(await outcome(narrow, dpop(key.proof({ token })))).toMatchObject({ reason: 'proof_algorithm' })
    }
  })

  test('keeps a header after a good proof, and counts its length', async () => {
    const statsAfter = async (proof: Proof): Promise<CacheStats> => {
      const one = server()
      await outcome(one, dpop(key.proof({ token, ...proof })))
      return one.stats().proofKeys
    }
    const none = { entries: 0, maxEntries: 5000, bytes: 0 }
    expect(server().stats().proofKeys).toMatchObject(none)
    expect(await statsAfter({ method: 'PUT' })).toMatchObject(none)
    const [short, long] = [await statsAfter({}), await statsAfter({ header: { x: 'x'.repeat(300) } })]
    expect([short.entries, long.entries]).toEqual([1, 1])
    expect(long.bytes - short.bytes).toBeGreaterThan(400)
  })

  test('a forged signature is refused under a cached header as under a new one', async () => {
    const one = server()
    expect(await outcome(one, dpop(key.proof({ token })))).toEqual(granted)
    const forger = createDpopKey()
    for (const _ of [1, 2, 3])
      expect(await outcome(one, dpop(key.proof({ token, key: forger.key })))).toEqual(proofRefused('proof_signature'))
  })

  test('a flood of headers does not affect other clients', async () => {
    const one = server()
    expect(await outcome(one, dpop(key.proof({ token })))).toEqual(granted)
    for (let i = 0; i < 300; i++)
      await outcome(one, dpop(key.proof({ token, header: { x: `${i}`.padStart(1500, 'x') } })))
    expect(await outcome(one, dpop(key.proof({ token })))).toEqual(granted)
  })
})

describe('a burst', () => {
  test('decides each proof of a burst from many clients, good and bad, by itself', async () => {
    const one = server()
    const clients = (['ES256', 'RS256', 'EdDSA', 'PS256'] as const).map((alg) => createDpopKey(alg))
    const requests = Array.from({ length: 200 }, (_, i) => {
      const client = clients[i % clients.length] as typeof key
      const bound = boundTo(client.jkt)
      const forged = i % 3 === 0 ? { key: (clients[(i + 1) % clients.length] as typeof key).key } : {}
      return { forged: i % 3 === 0, request: dpop(client.proof({ token: bound, ...forged }), bound) }
    })
    const answers = await Promise.all(requests.map(({ request }) => outcome(one, request)))
    for (const [i, { forged }] of requests.entries())
      expect(answers[i]).toEqual(forged ? proofRefused('proof_signature') : granted)
  })

  test('a cached token with a good proof creates no promise', () => {
    const one = server()
    const first = one.authorize(dpop(key.proof({ token })))
    return Promise.resolve(first).then(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      expect(one.authorize(dpop(key.proof({ token })))).not.toBeInstanceOf(Promise)
    })
  })
})

describe('what the log is told', () => {
  const algorithms = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']
  const { x } = createDpopKey('EdDSA').jwk
  const rows: readonly (readonly [
    string,
    Proof,
    reason: keyof typeof PROOF_TEXTS,
    expected: unknown,
    received: unknown
  ])[] = [
    ['an extension', { header: { crit: ['x'] } }, 'proof_malformed', undefined, ['x']],
    ['another type', { header: { typ: 'JWT' } }, 'proof_type', undefined, 'JWT'],
    ['another algorithm', { header: { alg: 'none' } }, 'proof_algorithm', algorithms, 'none'],
    ['a key of another type', { header: { jwk: { kty: 'OKP', crv: 'X25519', x } } }, 'proof_key', undefined, 'OKP'],
    [
      'a key that is none',
      { header: { jwk: { ...key.jwk, y: x } } },
      'proof_key',
      'not a key that has missing or invalid members',
      undefined
    ],
    ...['jti', 'htm', 'htu', 'iat', 'ath'].flatMap((name) =>
      (['no', 'an empty'] as const).map((which) => {
        const claims = { [name]: which === 'no' ? undefined : '' }
        return [`${which} ${name}`, { claims }, 'proof_claim', name, undefined] as const
      })
    ),
    ['another method', { method: 'PUT' }, 'proof_method', 'GET', 'PUT'],
    ['another time', { at: NOW - 61 }, 'proof_freshness', `made at about ${NOW}`, NOW - 61]
  ]
  test.each(rows)('of a proof with %s', async (_, proof, reason, expected, received) => {
    const error = await refusal(() => server().authorize(dpop(key.proof({ token, ...proof }))))
    expect([error.reason, error.expected, error.received]).toEqual([reason, expected, received])
  })

  test.each<readonly [string, () => unknown, string, string | undefined]>([
    ['fails', () => Promise.reject(new Error('down')), 'the replay store of DPoP proofs failed', 'down'],
    ['throws', fails, 'the replay store of DPoP proofs failed', 'down'],
    [
      'does not answer',
      () => new Promise(() => {}),
      'the replay store of DPoP proofs failed',
      'no answer within 0.1 s'
    ],
    ['says nothing', () => undefined, '`add` of the replay store must return true or false', undefined],
    ['says nothing later', () => Promise.resolve(1), '`add` of the replay store must return true or false', undefined]
  ])('of a replay store that %s', async (_, add, hint, cause) => {
    const one = api({
      dpop: { advertise: true, replayStore: { add: add as () => boolean } },
      callbackTimeout: 0.1
    })
    const error = await refusal(() => one.authorize(dpop(key.proof({ token }))))
    expect([error.reason, error.hint]).toEqual(['replay_unavailable', `${hint}. \`cause\` has the failure.`])
    expect((error.cause as Error | undefined)?.message).toBe(cause)
  })

  function fails(): never {
    throw new Error('down')
  }
})

describe('options', () => {
  const problem = (dpop: unknown, more: object = {}): string => {
    try {
      api({ dpop: dpop as DpopOptions, ...more })
      return 'none'
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError)
      return (error as Error).message
    }
  }

  test.each([
    [null, 'dpop'],
    [true, 'dpop'],
    ['required', 'dpop'],
    [[], 'dpop'],
    [{ require: true }, 'dpop.require'],
    [{ advertise: 1 }, 'dpop.advertise'],
    [{ algorithms: [] }, 'dpop.algorithms'],
    [{ algorithms: 'ES256' }, 'dpop.algorithms'],
    [{ algorithms: ['none'] }, 'dpop.algorithms'],
    [{ algorithms: ['HS256'] }, 'dpop.algorithms'],
    [{ proofLifetime: 4 }, 'dpop.proofLifetime'],
    [{ proofLifetime: 301 }, 'dpop.proofLifetime'],
    [{ proofLifetime: '60' }, 'dpop.proofLifetime'],
    [{ proofLifetime: Number.NaN }, 'dpop.proofLifetime'],
    [{ nonces: true }, 'dpop.nonces'],
    [{ nonces: 'always' }, 'dpop.nonces'],
    [{ nonceSecret: 'short' }, 'dpop.nonceSecret'],
    [{ nonceSecret: [] }, 'dpop.nonceSecret'],
    [{ nonceSecret: ['x'.repeat(32), 'short'] }, 'dpop.nonceSecret'],
    [{ nonceSecret: ['x'.repeat(32), 'y'.repeat(32), 'z'.repeat(32)] }, 'dpop.nonceSecret'],
    [{ nonceSecret: 1 }, 'dpop.nonceSecret'],
    [{ replayStore: {} }, 'dpop.replayStore'],
    [{ replayStore: null }, 'dpop.replayStore'],
    [{ replayStore: () => true }, 'dpop.replayStore']
  ])('refuses dpop: %j at start, and names %s', (value, option) => {
    expect(problem(value)).toContain(option)
  })

  test('does not show a bad secret', () => {
    expect(problem({ nonceSecret: 'hunter2' })).not.toContain('hunter2')
  })

  test.each([
    '',
    'api.example.com',
    '/base',
    'ftp://api.example.com',
    'https://a.example/?q',
    'https://a.example/#f',
    [],
    [''],
    1,
    null
  ])('refuses publicUrl: %j at start', (publicUrl) => {
    expect(problem({}, { publicUrl })).toContain('publicUrl')
  })

  test('proofLifetime limits the age of a proof', async () => {
    for (const proofLifetime of [5, 300]) {
      const one = server({ proofLifetime })
      expect(await outcome(one, dpop(key.proof({ token, at: NOW - proofLifetime })))).toEqual(granted)
      expect(await outcome(one, dpop(key.proof({ token, at: NOW - proofLifetime - 1 })))).toEqual(
        proofRefused('proof_freshness')
      )
    }
  })

  test('stats() shows how full the store is; a custom store need not count', async () => {
    const one = server()
    await outcome(one, dpop(key.proof({ token })))
    expect(one.stats().replay).toEqual({ entries: 1, maxEntries: 250_000, owners: 1 })
    expect(server({ replayStore: { add: () => true } }).stats().replay).toBeUndefined()
  })
})

test('the test oracle and the package agree on which JWKs are public keys', () => {
  // What the tests compute themselves is what node says of the same key.
  for (const alg of ['ES256', 'ES384', 'ES512', 'EdDSA', 'RS256'] as const) {
    const one = createDpopKey(alg)
    const { kty, crv, x, y, n, e } = createPublicKey({ key: one.jwk as JsonWebKey, format: 'jwk' }).export({
      format: 'jwk'
    })
    expect(thumbprintOf({ kty, crv, x, y, n, e })).toBe(one.jkt)
  }
  expect(dpopRefused('x', 'y').status).toBe(401)
})
