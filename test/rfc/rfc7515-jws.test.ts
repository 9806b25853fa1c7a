/** RFC 7515 to 7519 and 7797: a JWT as text, its header, and its signature. One flaw at a time. */
import { createHmac, type KeyObject, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { scope } from '../../src/index.js'
import { createBed, introspecting } from '../support/exchange.js'
import {
  ALGORITHMS,
  type Algorithm,
  base64url,
  createSigningKey,
  type SigningKey,
  signature,
  signJws,
  type TestIssuer
} from '../support/issuer.js'
import {
  access,
  accessToken,
  accessTokenOf,
  api,
  bearer,
  get,
  granted,
  insufficient,
  issuerKey,
  keySet,
  outcome,
  refused,
  validClaims
} from '../support/refusals.js'

const bed = createBed()
const server = api()
const malformed = refused('DEN-04', 'malformed')
const parts = accessToken().split('.') as [string, string, string]
const payload = JSON.stringify(validClaims)

/** The same bytes, in a text whose last character has bits set that decode to nothing. */
function withTrailingBits(segment: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const next = alphabet[alphabet.indexOf(segment.at(-1) as string) + 1] as string
  const other = segment.slice(0, -1) + next
  expect(Buffer.from(other, 'base64url')).toEqual(Buffer.from(segment, 'base64url'))
  return other
}

describe('RFC 7515 §7.1: compact serialization', () => {
  const [header, claims, signed] = parts
  const texts: readonly [string, string][] = [
    ['the JSON serialization', JSON.stringify({ payload: claims, protected: header, signature: signed })],
    ['the general JSON serialization', JSON.stringify({ payload: claims, signatures: [{ protected: header }] })],
    ['one part', header],
    ['two parts', `${header}.${claims}`],
    ['four parts', `${parts.join('.')}.${signed}`],
    ['a final dot', `${parts.join('.')}.`],
    ['a dot before', `.${parts.join('.')}`],
    ['no header', `.${claims}.${signed}`],
    ['no payload', `${header}..${signed}`],
    ['only dots', '..'],
    ['a tilde, as in an SD-JWT', `${parts.join('.')}~`],
    ['a plus sign', `${header}.${claims}.+${signed.slice(1)}`],
    ['a slash', `${header}.${claims}.${signed.slice(0, -1)}/`]
  ]
  test.each(texts)('JOS-01 DEN-04 (RFC 7519 §1): refuses %s, which is not a JWT', async (_, text) => {
    expect(await outcome(server, bearer(text))).toEqual(malformed)
  })
})

describe('RFC 7515 §2: base64url', () => {
  const segments = ['header', 'payload', 'signature'] as const
  test.each(segments)('JOS-02 DEN-04 (RFC 7515 §2): refuses padding after the %s', async (segment) => {
    const at = segments.indexOf(segment)
    for (const padding of ['=', '==']) {
      const text = parts.map((part, i) => (i === at ? part + padding : part)).join('.')
      expect(await outcome(server, bearer(text))).toEqual(malformed)
    }
  })

  test.each(segments)(
    'JOS-02 DEN-04 (RFC 7515 §2): refuses a lone last character, which decodes to nothing, in the %s',
    async (segment) => {
      const at = segments.indexOf(segment)
      const length = (parts[at] as string).length
      const filler = 'A'.repeat((5 - (length % 4)) % 4 || 4)
      const text = parts.map((part, i) => (i === at ? part + filler : part)).join('.')
      expect(await outcome(server, bearer(text))).toEqual(malformed)
    }
  )

  test('JOS-02 DEN-04 (RFC 7515 §2): refuses unused bits that are not zero, in each part', async () => {
    // Each length leaves bits over: 64 bytes in the signature, and JSON padded with spaces to 1 more than a multiple of 3.
    const pad = (json: string): string => json + ' '.repeat((4 - (Buffer.byteLength(json) % 3)) % 3)
    const key = issuerKey
    const head = pad(JSON.stringify({ typ: 'at+jwt', alg: 'ES256', kid: 'k1' }))
    const token = signJws(head, pad(payload), key)
    expect(await outcome(server, bearer(token))).toEqual(granted)
    const [h, p, s] = token.split('.') as [string, string, string]
    expect(await outcome(server, bearer(`${h}.${p}.${withTrailingBits(s)}`))).toEqual(malformed)
    // What is signed is the text, so that the altered text has a good signature of its own.
    const signText = (text: string): string => `${text}.${base64url(signature(text, key))}`
    expect(await outcome(server, bearer(signText(`${withTrailingBits(h)}.${p}`)))).toEqual(malformed)
    expect(await outcome(server, bearer(signText(`${h}.${withTrailingBits(p)}`)))).toEqual(malformed)
  })
})

describe('RFC 7519 §7.2: header and claims are JSON objects in UTF-8', () => {
  const invalidUtf8 = Buffer.concat([
    Buffer.from('{"foo":"'),
    Buffer.from([0xff]),
    Buffer.from(`",${payload.slice(1)}`)
  ])
  const payloads: readonly [string, string | Uint8Array][] = [
    ['an array', '[1]'],
    ['a string', '"x"'],
    ['a number', '1'],
    ['null', 'null'],
    ['true', 'true'],
    ['nothing', ' '],
    ['no JSON', 'x'],
    ['half an object', payload.slice(0, -1)],
    ['an object and more', `${payload}x`],
    ['two objects', payload + payload],
    ['a byte order mark first', `\ufeff${payload}`],
    ['invalid UTF-8', invalidUtf8],
    ['an overlong encoding', Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')])],
    [
      'a surrogate in UTF-8',
      Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')])
    ],
    ['UTF-16', Buffer.from(payload, 'utf16le')],
    ['a comment', `/**/${payload}`],
    ['a trailing comma', `${payload.slice(0, -1)},}`]
  ]
  test.each(payloads)('JOS-03 DEN-04 (RFC 7519 §7.2): refuses claims that are %s', async (_, one) => {
    expect(await outcome(server, bearer(accessTokenOf(one)))).toEqual(malformed)
  })

  const head = '{"typ":"at+jwt","alg":"ES256","kid":"k1"}'
  const headers: readonly [string, string][] = [
    ['an array', `[${head}]`],
    ['a string', JSON.stringify(head)],
    ['null', 'null'],
    ['half an object', head.slice(0, -1)],
    ['a byte order mark first', `\ufeff${head}`],
    ['no alg', '{"typ":"at+jwt","kid":"k1"}'],
    ['an alg that is a number', '{"typ":"at+jwt","alg":256,"kid":"k1"}'],
    ['an alg that is a list', '{"typ":"at+jwt","alg":["ES256"],"kid":"k1"}'],
    ['an alg that is null', '{"typ":"at+jwt","alg":null,"kid":"k1"}']
  ]
  test.each(headers)('JOS-03 DEN-04 (RFC 7515 §4): refuses a header that is or has %s', async (_, one) => {
    expect(await outcome(server, bearer(signJws(one, payload, issuerKey)))).toEqual(malformed)
  })

  test('JOS-03 (RFC 7519 §7.2): accepts white space and escapes of JSON, and any text', async () => {
    const spaced = accessTokenOf(` \n${payload.slice(0, -1)} , "name" : "J\\u00f6rg \u{1F600}" }\t`)
    expect(await outcome(server, bearer(spaced))).toEqual(granted)
    expect((await access(server, spaced)).claims['name']).toBe('Jörg \u{1F600}')
  })
})

describe('RFC 7515 §4: members', () => {
  test('JOS-04 (RFC 7519 §4): reads the last of repeated claims, everywhere', async () => {
    const twice = (first: string, last: string): string =>
      accessTokenOf(`{"scope":"${first}",${payload.slice(1, -1)},"scope":"${last}"}`)
    expect(await outcome(server, bearer(twice('read', 'write')))).toEqual(insufficient('read'))
    const token = twice('write', 'read')
    expect(await outcome(server, bearer(token))).toEqual(granted)
    const { scopes, claims } = await access(server, token)
    expect([scopes, claims['scope']]).toEqual([['read'], 'read'])
  })

  test('JOS-04 DEN-09 (RFC 7519 §4): checks the issuer that selected the keys', async () => {
    const token = accessTokenOf(`${payload.slice(0, -1)},"iss":"https://other.example"}`)
    expect(await outcome(server, bearer(token))).toEqual(refused('DEN-09', 'issuer'))
  })

  test('JOS-04 DEN-05 (RFC 7515 §4): uses the algorithm that it allowed', async () => {
    const header = '{"alg":"ES256","typ":"at+jwt","kid":"k1","alg":"none"}'
    expect(await outcome(server, bearer(signJws(header, payload, issuerKey)))).toEqual(refused('DEN-05', 'algorithm'))
  })

  test('JOS-21 (RFC 7519 §4): ignores unknown claims, and passes them to handlers', async () => {
    const token = accessToken({ claims: { foo: { bar: [1] }, 'https://example.com/x': null } })
    expect(await outcome(server, bearer(token))).toEqual(granted)
    expect((await access(server, token)).claims).toMatchObject({ foo: { bar: [1] }, 'https://example.com/x': null })
  })

  test('JOS-21 (RFC 7515 §4): ignores unknown header members', async () => {
    const header = { foo: 'bar', cty: 'x', zip: 'DEF', ppt: 'shaken', x5t: 'abc', url: 'https://x.test' }
    expect(await outcome(server, bearer(accessToken({ header })))).toEqual(granted)
  })

  test('JOS-22: freezes claims at every level', async () => {
    const { claims } = await access(server, accessToken({ claims: { act: { sub: 's', deep: [{ a: 1 }] } } }))
    const act = claims['act'] as { sub: string; deep: { a: number }[] }
    for (const one of [claims, act, act.deep, act.deep[0]]) expect(Object.isFrozen(one)).toBe(true)
    expect(() => {
      act.sub = 'x'
    }).toThrow(TypeError)
  })

  test('JOS-22: reads a claim `__proto__`, and changes no prototype', async () => {
    const token = accessTokenOf(
      `{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}},${payload.slice(1)}`
    )
    const { claims } = await access(server, token)
    expect(Object.hasOwn(claims, '__proto__')).toBe(true)
    expect(Object.getPrototypeOf(claims)).toBe(Object.prototype)
    expect((claims as { admin?: unknown }).admin).toBeUndefined()
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
  })

  test('JOS-22 DEN-11: refuses a token whose required claim is only in `__proto__`', async () => {
    const { sub, ...rest } = validClaims
    const token = accessTokenOf(`{"__proto__":{"sub":"${sub}"},${JSON.stringify(rest).slice(1)}`)
    expect(await outcome(server, bearer(token))).toEqual(refused('DEN-11', 'claim'))
  })

  const kinds: readonly unknown[] = [1, null, true, {}, ['k1']]
  test.each(kinds)('JOS-11 DEN-05 (RFC 7515 §4.1.4): refuses a kid that is %j', async (kid) => {
    expect(await outcome(server, bearer(accessToken({ header: { kid } })))).toEqual(refused('DEN-05', 'unknown_key'))
  })

  const names = ['__proto__', 'constructor', 'toString', '../k1', 'k1\u0000', ' k1', 'K1', "k1' OR 1=1--", '', 'keys']
  test.each(names)('JOS-11 DEN-05 (RFC 8725 §3.10): finds no key for the kid %j', async (kid) => {
    expect(await outcome(server, bearer(accessToken({ header: { kid } })))).toEqual(refused('DEN-05', 'unknown_key'))
  })

  test('JOS-11 DEN-05: refuses a kid of more than 256 characters, even if a key has it', async () => {
    const longest = createSigningKey('ES256', { kid: 'k'.repeat(256) })
    const issued = (key: SigningKey): ReturnType<typeof bearer> => bearer(accessToken({ key }))
    expect(await outcome(api({}, { jwks: keySet(longest) }), issued(longest))).toEqual(granted)
    const tooLong = { ...longest, kid: 'k'.repeat(257) }
    expect(await outcome(api({}, { jwks: keySet(longest) }), issued(tooLong))).toEqual(refused('DEN-05', 'unknown_key'))
  })

  test('JOS-11: accepts a name of Object’s own as kid', async () => {
    const odd = createSigningKey('ES256', { kid: '__proto__' })
    expect(await outcome(api({}, { jwks: keySet(odd) }), bearer(accessToken({ key: odd })))).toEqual(granted)
  })
})

describe('RFC 7515 §4.1.11: crit', () => {
  const values: readonly unknown[] = [
    ['exp'],
    [],
    ['b64'],
    ['foo'],
    ['alg'],
    ['exp', 'exp'],
    'exp',
    null,
    {},
    [1],
    true
  ]
  test.each(values)('JOS-08 DEN-05 (RFC 7515 §4.1.11): refuses crit %j', async (crit) => {
    const token = accessToken({ header: { crit, exp: 1, foo: 1 } })
    expect(await outcome(server, bearer(token))).toEqual(refused('DEN-05', 'critical_header'))
  })

  test('JOS-09 DEN-05 (RFC 7797 §7): refuses b64 false with crit', async () => {
    const token = accessToken({ header: { b64: false, crit: ['b64'] } })
    expect(await outcome(server, bearer(token))).toEqual(refused('DEN-05', 'critical_header'))
  })

  test('JOS-09 DEN-05 (RFC 7797 §7): refuses b64 false without crit too', async () => {
    expect(await outcome(server, bearer(accessToken({ header: { b64: false } })))).toEqual(
      refused('DEN-05', 'critical_header')
    )
  })
})

describe('RFC 7518 §3: signatures', () => {
  test.each(ALGORITHMS)(
    'ATV-05 DEF-03 JOS-13 (RFC 7518 §3.1): verifies %s, and refuses it with one bit flipped',
    async (alg) => {
      const { issuer, token } = await signed(alg)
      const of = bed.api({ issuers: [issuer.issuer] })
      expect(await outcome(of, bearer(token))).toEqual(granted)
      const [h, p, s] = token.split('.') as [string, string, string]
      const bytes = Buffer.from(s, 'base64url')
      for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
        const flipped = Buffer.from(bytes)
        flipped[at] = (flipped[at] as number) ^ 1
        const broken = `${h}.${p}.${flipped.toString('base64url')}`
        expect(await outcome(of, bearer(broken))).toEqual(refused('DEN-05', 'signature'))
      }
    }
  )

  async function signed(alg: Algorithm): Promise<{ issuer: TestIssuer; token: string }> {
    const issuer = await bed.issuer({ algorithms: [alg] })
    return { issuer, token: issuer.token({ alg }) }
  }

  test('ATV-05 DEN-05 (RFC 7515 §5.2): refuses claims that were altered after signing', async () => {
    const altered = base64url({ ...validClaims, sub: 'admin' })
    expect(await outcome(server, bearer(`${parts[0]}.${altered}.${parts[2]}`))).toEqual(refused('DEN-05', 'signature'))
  })

  test('ATV-05 DEN-05 (RFC 7515 §5.2): refuses a header that was altered after signing', async () => {
    const altered = base64url({ typ: 'at+jwt', alg: 'ES256', kid: 'k1', x: 1 })
    expect(await outcome(server, bearer(`${altered}.${parts[1]}.${parts[2]}`))).toEqual(refused('DEN-05', 'signature'))
  })

  const wrong: readonly [string, (input: string, key: { privateKey: KeyObject }) => Uint8Array][] = [
    ['empty', () => new Uint8Array()],
    ['of zeros', () => new Uint8Array(64)],
    ['with r zero', (input, { privateKey }) => Buffer.concat([Buffer.alloc(32), raw(input, privateKey).subarray(32)])],
    [
      'with s zero',
      (input, { privateKey }) => Buffer.concat([raw(input, privateKey).subarray(0, 32), Buffer.alloc(32)])
    ],
    ['in DER', (input, { privateKey }) => sign('sha256', Buffer.from(input), privateKey)],
    ['a byte short', (input, { privateKey }) => raw(input, privateKey).subarray(0, 63)],
    ['a byte long', (input, { privateKey }) => Buffer.concat([raw(input, privateKey), Buffer.alloc(1)])],
    [
      'a zero byte longer in front',
      (input, { privateKey }) => Buffer.concat([Buffer.alloc(1), raw(input, privateKey)])
    ],
    [
      'over another digest',
      (input, { privateKey: key }) => sign('sha384', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
    ]
  ]
  const raw = (input: string, key: KeyObject): Buffer =>
    sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })

  test.each(wrong)('JOS-12 DEN-05 (RFC 7518 §3.4): refuses an ES256 signature: %s', async (_, make) => {
    const token = accessToken({ sign: (input, key) => make(input, key) })
    expect(await outcome(server, bearer(token))).toEqual(refused('DEN-05', 'signature'))
  })

  test('JOS-12 DEN-05 (RFC 7518 §3.3): verifies nothing with an RSA key of 1024 bits', async () => {
    const issuer = await bed.issuer()
    const weak = createSigningKey('RS256', { kid: 'weak', modulusLength: 1024 })
    issuer.jwks.keys.push(weak.publicJwk)
    const of = bed.api({ issuers: [issuer.issuer] })
    expect(await outcome(of, bearer(issuer.token({ key: weak })))).toEqual(refused('DEN-05', 'unknown_key'))
    expect(await outcome(of, bearer(issuer.token()))).toEqual(granted)
  })

  test('JOS-12 DEN-05 (RFC 7518 §3.4): uses a curve for one algorithm only', async () => {
    const { alg: _, ...jwk } = createSigningKey('ES384').publicJwk
    const of = api({}, { jwks: { keys: [jwk] } })
    expect(await outcome(of, bearer(accessToken()))).toEqual(refused('DEN-05', 'unknown_key'))
  })

  test('JOS-13 (RFC 9864 §2.2): reads EdDSA and Ed25519 as two names for one algorithm, where the key allows both', async () => {
    const key = createSigningKey('Ed25519')
    const { alg: _, ...jwk } = key.publicJwk
    const of = api({}, { jwks: { keys: [jwk] } })
    for (const alg of ['EdDSA', 'Ed25519'] as const) {
      expect(await outcome(of, bearer(accessToken({ key: { ...key, alg } })))).toEqual(granted)
    }
  })

  test('JOS-13 DEN-05 (RFC 9864 §2.2): refuses Ed448 under both names', async () => {
    const { generateKeyPairSync } = await import('node:crypto')
    const { publicKey, privateKey } = generateKeyPairSync('ed448')
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k448' }
    const of = bed.api({ issuers: [(await withKey(jwk)).issuer] })
    for (const alg of ['EdDSA', 'Ed448']) {
      const token = signJws(
        { typ: 'at+jwt', alg, kid: 'k448' },
        { ...validClaims, iss: last.issuer },
        issuerKey,
        (input) => sign(null, Buffer.from(input), privateKey)
      )
      expect((await outcome(of, bearer(token))).reason).toBe(alg === 'EdDSA' ? 'unknown_key' : 'algorithm')
    }
  })

  let last: TestIssuer
  async function withKey(jwk: object): Promise<TestIssuer> {
    last = await bed.issuer()
    last.jwks.keys.push(jwk as Record<string, unknown>)
    return last
  }
})

describe('RFC 7515 §4.1.9: typ', () => {
  const accepted = ['at+jwt', 'at+JWT', 'AT+JWT', 'application/at+jwt', 'APPLICATION/AT+JWT', 'Application/at+Jwt']
  test.each(accepted)('JOS-14 ATV-01 (RFC 9068 §2.1): accepts %s', async (typ) => {
    expect(await outcome(server, bearer(accessToken({ header: { typ } })))).toEqual(granted)
  })

  const others: readonly unknown[] = [
    'text/at+jwt',
    'at+jwt;charset=utf-8',
    ' at+jwt',
    'at+jwt ',
    'at jwt',
    'application/application/at+jwt',
    '/at+jwt',
    'at+jwt/',
    'xat+jwt',
    '',
    1,
    null,
    ['at+jwt'],
    { at: 'jwt' },
    true
  ]
  test.each(others)('JOS-14 DEN-12 (RFC 7515 §4.1.9): refuses %j, which is another type', async (typ) => {
    expect(await outcome(server, bearer(accessToken({ header: { typ } })))).toEqual(refused('DEN-12', 'type'))
  })
})

describe('RFC 7516: encrypted tokens', () => {
  const jwe = ['{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"at+jwt"}', 'key', 'iv', 'text', 'tag']
    .map(base64url)
    .join('.')
  const direct = [base64url('{"alg":"dir","enc":"A256GCM"}'), '', 'aXY', 'dGV4dA', 'dGFn'].join('.')

  test('JOS-15 DEN-12 (RFC 8725 §3.3): refuses a JWE that it cannot decrypt', async () => {
    for (const token of [jwe, direct]) {
      expect(await outcome(server, bearer(token))).toEqual(refused('DEN-12', 'type'))
    }
  })

  test('JOS-15 (RFC 7662 §2): asks the authorization server about a JWE where tokens are introspected', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    issuer.opaque({}, jwe)
    expect(await outcome(of, bearer(jwe))).toEqual(granted)
    expect(issuer.requests.at(-1)?.form.get('token')).toBe(jwe)
    expect(await outcome(of, bearer(direct))).toEqual(refused('DEN-08', 'inactive'))
  })
})

describe('RFC 7519 §4.1: registered claims', () => {
  const dates = ['exp', 'nbf', 'iat'] as const
  const notDates: readonly unknown[] = ['1750000300', true, {}, [1_750_000_300]]
  for (const name of dates) {
    test.each(notDates)(`JOS-19 DEN-11 (RFC 7519 §2): refuses ${name} %j, which is not a date`, async (value) => {
      expect(await outcome(server, bearer(accessToken({ claims: { [name]: value } })))).toEqual(
        refused('DEN-11', 'claim')
      )
    })

    test(`JOS-19 DEN-11 (RFC 7519 §2): refuses a date ${name} beyond all numbers`, async () => {
      for (const value of ['1e400', '-1e400']) {
        const token = accessTokenOf(`${payload.slice(0, -1)},"${name}":${value}}`)
        expect(await outcome(server, bearer(token))).toEqual(refused('DEN-11', 'claim'))
      }
    })
  }

  test('JOS-19 (RFC 7519 §2): accepts fractional dates', async () => {
    const claims = { exp: validClaims.exp + 0.5, nbf: validClaims.iat - 0.25, iat: validClaims.iat + 0.125 }
    expect(await outcome(server, bearer(accessToken({ claims })))).toEqual(granted)
  })

  const notAudiences: readonly unknown[] = [{}, 1, true, [1], [null], ['https://api.example.com', 1], [['x']]]
  test.each(notAudiences)('JOS-20 DEN-11 (RFC 7519 §4.1.3): refuses aud %j, which is not an audience', async (aud) => {
    expect(await outcome(server, bearer(accessToken({ claims: { aud } })))).toEqual(refused('DEN-11', 'claim'))
  })

  test('JOS-20 DEN-10 (RFC 7519 §4.1.3): an empty list and an empty name match nothing', async () => {
    for (const aud of [[], '', ['']]) {
      expect(await outcome(server, bearer(accessToken({ claims: { aud } })))).toEqual(refused('DEN-10', 'audience'))
    }
  })

  const strings = ['sub', 'jti', 'client_id'] as const
  for (const name of strings) {
    test.each([1, null, {}, ['x'], true, ''])(
      `ATV-08 DEN-11 (RFC 7519 §4.1): refuses ${name} %j, which is of the wrong type`,
      async (value) => {
        expect(await outcome(server, bearer(accessToken({ claims: { [name]: value } })))).toEqual(
          refused('DEN-11', 'claim')
        )
      }
    )
  }

  test.each([1, null, {}, ['https://as.example.com'], true])(
    'ATV-03 DEN-11 (RFC 7519 §4.1.1): refuses iss %j, which is of the wrong type',
    async (iss) => {
      expect(await outcome(server, bearer(accessToken({ claims: { iss } })))).toEqual(refused('DEN-11', 'claim'))
    }
  )

  test.each(['x', 1, [], true])(
    'DEF-17 DEN-11 (RFC 7800 §3.1): refuses cnf %j, which is of the wrong type',
    async (cnf) => {
      expect(await outcome(server, bearer(accessToken({ claims: { cnf } })))).toEqual(refused('DEN-11', 'claim'))
    }
  )
})

test('JOS-05 DEN-05 (RFC 7515 §8): refuses a MAC over the token as its signature', async () => {
  const token = accessToken({ sign: (input) => createHmac('sha512', 'x').update(input).digest() })
  expect(await outcome(server, bearer(token))).toEqual(refused('DEN-05', 'signature'))
  expect((await outcome(server, get({ authorization: `Bearer ${accessToken()}` }), scope('read'))).status).toBe(200)
})
