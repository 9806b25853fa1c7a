/** How this API authenticates to an authorization server, held against oauth4webapi and jose. */
import { createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject, type webcrypto } from 'node:crypto'
import fc from 'fast-check'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import * as oauth4webapi from 'oauth4webapi'
import { describe, expect, test } from 'vitest'
import { resourceServer } from '../../src/index.js'
import type { ClientAuth } from '../../src/issuer/client-auth.js'
import {
  bearerToken,
  clientSecretBasic,
  clientSecretPost,
  noClientAuth,
  privateKeyJwt,
  tlsClientAuth,
  usesClientCertificate
} from '../../src/issuer/client-auth.js'

const as = { issuer: 'https://as.example.com' }

interface Applied {
  readonly authorization: string | null
  readonly body: URLSearchParams
}

async function apply(auth: ClientAuth, clientId: string): Promise<Applied> {
  const body = new URLSearchParams({ token: 't' })
  const headers = new Headers()
  await auth(as, { client_id: clientId }, body, headers)
  return { authorization: headers.get('authorization'), body }
}

/** The text inside `Basic …`. */
function credentials({ authorization }: Applied): string {
  const [scheme, encoded] = (authorization as string).split(' ')
  expect(scheme).toBe('Basic')
  expect(Buffer.from(encoded as string, 'base64').toString('base64')).toBe(encoded)
  return Buffer.from(encoded as string, 'base64').toString('latin1')
}

/**
 * oauth4webapi encodes every character that is no letter and no digit; form encoding as the web does it leaves these
 * four as they are. Any decoder reads both alike, and a server that does not decode reads ours more often.
 */
function webStyle(text: string): string {
  return text.replace(/%(2D|2E|5F|2A)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

describe('clientSecretBasic', () => {
  test.each([
    ['id', 'secret', 'id:secret'],
    ['id', 'a:b %', 'id:a%3Ab+%25'],
    ['i:d', 'a+b', 'i%3Ad:a%2Bb'],
    ['https://client.example/', 's', 'https%3A%2F%2Fclient.example%2F:s'],
    ['id', 'a-b_c.d*e', 'id:a-b_c.d*e'],
    ['id', "~!'()", 'id:%7E%21%27%28%29'],
    ['id', 'ä€😀', 'id:%C3%A4%E2%82%AC%F0%9F%98%80'],
    ['id', '\r\n\0', 'id:%0D%0A%00'],
    ['id', ' ', 'id:+']
  ])('encodes %j and %j as %s (RFC 6749 §2.3.1, appendix B)', async (clientId, secret, expected) => {
    expect(credentials(await apply(clientSecretBasic(secret), clientId))).toBe(expected)
  })

  const text = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1 }),
    fc.string({
      unit: fc.constantFrom(...Array.from(' :%+&=-_.~!*\'()/?#[]@$,;"\\<>^`{|}\t\r\n\0aZ0é€😀')),
      minLength: 1
    })
  )

  test('writes the same bytes as oauth4webapi, except for four characters that the URL standard leaves unencoded', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, async (clientId, secret) => {
        const ours = credentials(await apply(clientSecretBasic(secret), clientId))
        const theirs = credentials(await apply(oauth4webapi.ClientSecretBasic(secret) as ClientAuth, clientId))
        expect(ours).toBe(webStyle(theirs))
      }),
      { numRuns: 1000 }
    )
  })

  test('decodes to the given values, whatever they contain', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, async (clientId, secret) => {
        const parts = credentials(await apply(clientSecretBasic(secret), clientId)).split(':')
        expect(parts).toHaveLength(2)
        expect(parts.map((part) => new URLSearchParams(`v=${part}`).get('v'))).toEqual([clientId, secret])
      }),
      { numRuns: 1000 }
    )
  })

  test('does not change the form', async () => {
    expect((await apply(clientSecretBasic('s'), 'id')).body.toString()).toBe('token=t')
  })
})

describe('clientSecretPost', () => {
  test('writes the same form as oauth4webapi, and no header field', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), async (clientId, secret) => {
        const ours = await apply(clientSecretPost(secret), clientId)
        const theirs = await apply(oauth4webapi.ClientSecretPost(secret) as ClientAuth, clientId)
        expect(ours.body.toString()).toBe(theirs.body.toString())
        expect(ours.authorization).toBeNull()
      })
    )
  })

  test('replaces an existing client_id', async () => {
    const body = new URLSearchParams({ client_id: 'other' })
    await clientSecretPost('s')(as, { client_id: 'id' }, body, new Headers())
    expect(body.getAll('client_id')).toEqual(['id'])
  })
})

describe('privateKeyJwt', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

  async function assertion(auth: ClientAuth): Promise<string> {
    const { body } = await apply(auth, 'id')
    return body.get('client_assertion') as string
  }

  test.each([
    ['P-256', ec.privateKey, 'ES256'],
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, 'ES384'],
    ['P-521', generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey, 'ES512'],
    ['RSA', rsa.privateKey, 'PS256'],
    ['Ed25519', generateKeyPairSync('ed25519').privateKey, 'EdDSA']
  ])('signs with a key on %s and its algorithm an assertion that jose verifies', async (_, key: KeyObject, alg) => {
    const jwt = await assertion(privateKeyJwt(key))
    const { protectedHeader, payload } = await jwtVerify(jwt, createPublicKey(key), {
      issuer: 'id',
      subject: 'id',
      audience: as.issuer,
      algorithms: [alg],
      typ: 'JWT',
      requiredClaims: ['jti', 'iat', 'exp'],
      maxTokenAge: 60
    })
    expect(protectedHeader).toEqual({ alg, typ: 'JWT' })
    expect((payload.exp as number) - (payload.iat as number)).toBe(60)
    expect(payload.aud).toBe(as.issuer)
  })

  test('has the members of oauth4webapi’s assertion, for the same audience', async () => {
    const jwk = ec.privateKey.export({ format: 'jwk' }) as webcrypto.JsonWebKey
    const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
    const theirs = await apply(oauth4webapi.PrivateKeyJwt(key) as ClientAuth, 'id')
    const ours = await apply(privateKeyJwt(ec.privateKey), 'id')
    expect([...ours.body.keys()]).toEqual([...theirs.body.keys()])
    expect(ours.body.get('client_assertion_type')).toBe(theirs.body.get('client_assertion_type'))
    const [one, two] = await Promise.all(
      [ours, theirs].map(({ body }) => jwtVerify(body.get('client_assertion') as string, ec.publicKey))
    )
    for (const member of ['iss', 'sub', 'aud']) expect(one?.payload[member]).toEqual(two?.payload[member])
  })

  test('names the given key and algorithm', async () => {
    const jwt = await assertion(privateKeyJwt(rsa.privateKey, { algorithm: 'RS384', keyId: 'own' }))
    expect(decodeProtectedHeader(jwt)).toEqual({ alg: 'RS384', typ: 'JWT', kid: 'own' })
  })

  test('creates a new assertion for every request', async () => {
    const auth = privateKeyJwt(ec.privateKey)
    expect(await assertion(auth)).not.toBe(await assertion(auth))
  })

  test.each([
    ['a public key', ec.publicKey],
    ['a secret key', createSecretKey(Buffer.alloc(32))],
    ['nothing', undefined],
    ['a PEM text', ec.privateKey.export({ type: 'pkcs8', format: 'pem' })],
    ['secp256k1', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey],
    ['X25519', generateKeyPairSync('x25519').privateKey]
  ])('refuses %s at once', (_, key) => {
    expect(() => privateKeyJwt(key as KeyObject)).toThrow(/privateKeyJwt\(\)/)
    expect(() => privateKeyJwt(key as KeyObject)).toThrow(TypeError)
  })
})

describe('bearerToken', () => {
  test('sends the token, and nothing in the form', async () => {
    const applied = await apply(bearerToken('KEY0123'), '')
    expect([applied.authorization, applied.body.toString()]).toEqual(['Bearer KEY0123', 'token=t'])
  })

  test('calls a function for each request, so that the token can be renewed', async () => {
    let n = 0
    const auth = bearerToken(async () => `t${++n}`)
    expect((await apply(auth, '')).authorization).toBe('Bearer t1')
    expect((await apply(auth, '')).authorization).toBe('Bearer t2')
    expect(
      (
        await apply(
          bearerToken(() => 'sync'),
          ''
        )
      ).authorization
    ).toBe('Bearer sync')
  })
})

describe('noClientAuth', () => {
  test('sends client_id if there is one', async () => {
    expect((await apply(noClientAuth(), 'id')).body.toString()).toBe('token=t&client_id=id')
    expect((await apply(noClientAuth(), '')).body.toString()).toBe('token=t')
    expect((await apply(noClientAuth(), 'id')).authorization).toBeNull()
  })
})

describe('invalid arguments', () => {
  test.each([
    ['clientSecretBasic', clientSecretBasic],
    ['clientSecretPost', clientSecretPost],
    ['bearerToken', bearerToken]
  ] as const)('%s refuses an empty or missing string, such as an unset variable, at once', (name, create) => {
    for (const value of ['', undefined, null, 1]) {
      expect(() => create(value as string)).toThrow(new TypeError(`${name}() needs a non-empty string`))
    }
  })

  test('a method that needs a client identifier says so if it is missing', async () => {
    const key = generateKeyPairSync('ed25519').privateKey
    for (const auth of [clientSecretBasic('s'), clientSecretPost('s'), privateKeyJwt(key)]) {
      await expect(apply(auth, '')).rejects.toThrow('needs `introspection.clientId`')
    }
  })
})

describe('tlsClientAuth', () => {
  test('sends only the client identifier, like oauth4webapi (RFC 8705 §2)', async () => {
    const ours = await apply(tlsClientAuth(), 'id')
    const theirs = await apply(oauth4webapi.TlsClientAuth() as ClientAuth, 'id')
    expect(ours.body.toString()).toBe('token=t&client_id=id')
    expect(ours.body.toString()).toBe(theirs.body.toString())
    expect(ours.authorization).toBeNull()
  })

  test('is told apart from every other method', () => {
    expect(usesClientCertificate(tlsClientAuth())).toBe(true)
    for (const other of [noClientAuth(), clientSecretBasic('s'), oauth4webapi.TlsClientAuth() as ClientAuth]) {
      expect(usesClientCertificate(other)).toBe(false)
    }
  })

  const start = (introspection: object, http?: object) => () =>
    resourceServer({
      resource: 'https://api.example.com',
      issuers: [{ issuer: as.issuer, introspection: { auth: tlsClientAuth(), clientId: 'id', ...introspection } }],
      ...(http && { http: { dispatcher: { request: async () => undefined }, ...http } })
    })

  test('is refused at start without a dispatcher to present the certificate, or without a client identifier', () => {
    expect(start({})).toThrow('`issuers[0].introspection.auth` is `tlsClientAuth()` without `http.dispatcher`')
    expect(start({ clientId: undefined }, {})).toThrow('`issuers[0].introspection.clientId` is missing')
    expect(start({}, {})).not.toThrow()
  })
})
