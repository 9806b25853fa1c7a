/** RFC 8725, best current practices for JWT: algorithms, keys, and one kind of token never taken for another. */
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { SignatureAlgorithm } from '../../src/index.js'
import { createBed, strangeKey } from '../support/exchange.js'
import { createSigningKey, signJws, type TestIssuer } from '../support/issuer.js'
import {
  accessToken,
  api,
  bearer,
  granted,
  ISSUER,
  issuerKey,
  keySet,
  outcome,
  refused,
  validClaims
} from '../support/refusals.js'

const bed = createBed()
const server = api()
const byAlgorithm = refused('DEN-05', 'algorithm')

describe('RFC 8725 §3.1, §3.2: algorithms', () => {
  test.each(['none', 'None', 'nOnE', 'NONE', ''])(
    'JOS-05 DEN-05 ATV-05 DEF-03 (RFC 8725 §3.2): refuses alg %j',
    async (alg) => {
      for (const sign of [() => new Uint8Array(), undefined]) {
        const token = accessToken({ header: { alg }, ...(sign && { sign }) })
        expect(await outcome(server, bearer(token))).toEqual(byAlgorithm)
      }
    }
  )

  test.each(['es256', 'ES256 ', 'Es256', 'ES256K', 'RS1', 'A256GCM', 'dir', '__proto__'])(
    'JOS-05 DEN-05 (RFC 7515 §4.1.1): refuses alg %j, which is on no list',
    async (alg) => {
      expect(await outcome(server, bearer(accessToken({ header: { alg } })))).toEqual(byAlgorithm)
    }
  )

  test('JOS-05 DEN-05 (RFC 8725 §3.1): refuses an algorithm that this issuer is not configured for', async () => {
    const rsa = createSigningKey('RS256', { kid: 'r1' })
    const narrow = api({}, { jwks: keySet(issuerKey, rsa), algorithms: ['ES256'] })
    expect(await outcome(narrow, bearer(accessToken({ key: rsa })))).toEqual(byAlgorithm)
    expect(await outcome(narrow, bearer(accessToken()))).toEqual(granted)
  })

  test('JOS-05 DEF-03 (RFC 8725 §3.1): refuses `none` and the symmetric algorithms in the settings', () => {
    for (const one of ['none', 'HS256', 'HS384', 'HS512']) {
      expect(() => api({}, { algorithms: [one as SignatureAlgorithm] })).toThrow(
        `- \`issuers[0].algorithms\` is "${one}": it must be one of 'RS256'`
      )
    }
  })

  test.each(['HS256', 'HS384', 'HS512'] as const)(
    'JOS-06 DEN-05 (RFC 8725 §2.1): refuses %s with the public key as its secret',
    async (alg) => {
      const rsa = createSigningKey('RS256')
      const of = api({}, { jwks: keySet(rsa) })
      const secrets = [
        rsa.publicKey.export({ type: 'spki', format: 'pem' }),
        rsa.publicKey.export({ type: 'spki', format: 'der' }),
        JSON.stringify(rsa.publicJwk),
        String(rsa.publicJwk['n'])
      ]
      for (const secret of secrets) {
        const sign = (input: string): Buffer =>
          createHmac(`sha${alg.slice(2)}`, secret)
            .update(input)
            .digest()
        expect(await outcome(of, bearer(accessToken({ key: rsa, header: { alg }, sign })))).toEqual(byAlgorithm)
        // As if it were RS256, so that only the signature is wrong.
        expect(await outcome(of, bearer(accessToken({ key: rsa, sign })))).toEqual(refused('DEN-05', 'signature'))
      }
    }
  )

  test('JOS-07 DEN-05 (RFC 8725 §3.1): a key that is published for RS256 verifies no PS256', async () => {
    const rsa = createSigningKey('RS256')
    const of = api({}, { jwks: keySet(rsa) })
    expect(await outcome(of, bearer(accessToken({ key: { ...rsa, alg: 'PS256' } })))).toEqual(
      refused('DEN-05', 'unknown_key')
    )
    expect(await outcome(of, bearer(accessToken({ key: rsa })))).toEqual(granted)
  })

  test('JOS-07 DEN-05 (RFC 8725 §3.1): the header cannot rename how a token was signed', async () => {
    const { alg: _, ...jwk } = createSigningKey('RS256').publicJwk
    const of = api({}, { jwks: { keys: [jwk] } })
    const rsa = createSigningKey('RS256')
    const { alg: __, ...own } = rsa.publicJwk
    const open = api({}, { jwks: { keys: [own] } })
    expect(await outcome(open, bearer(accessToken({ key: rsa, header: { alg: 'PS256' } })))).toEqual(
      refused('DEN-05', 'signature')
    )
    expect(await outcome(open, bearer(accessToken({ key: rsa, header: { alg: 'RS512' } })))).toEqual(
      refused('DEN-05', 'signature')
    )
    expect(await outcome(of, bearer(accessToken({ key: rsa })))).toEqual(refused('DEN-05', 'signature'))
  })

  test('JOS-07 DEN-05 (RFC 7517 §4.1): refuses a key of another type', async () => {
    const rsa = createSigningKey('RS256')
    expect(await outcome(api({}, { jwks: keySet(rsa) }), bearer(accessToken()))).toEqual(
      refused('DEN-05', 'unknown_key')
    )
  })

  test('DEF-03 KEY-05 (RFC 8725 §3.1): allows every asymmetric algorithm of the table by default', async () => {
    const names: SignatureAlgorithm[] = ['RS256', 'PS512', 'ES384', 'EdDSA']
    const keys = names.map((alg) => createSigningKey(alg, { kid: alg }))
    const of = api({}, { jwks: keySet(...keys) })
    for (const key of keys) expect(await outcome(of, bearer(accessToken({ key })))).toEqual(granted)
  })
})

describe('RFC 8725 §3.10: nothing in a token is followed', () => {
  test('JOS-10 ORD-03 DEN-05 (RFC 8725 §3.10): neither uses nor fetches a key that the token brings along', async () => {
    let visits = 0
    const trap = createServer((_, response) => {
      visits += 1
      response.end('{}')
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => trap.once('listening', resolve))
    const url = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/`
    try {
      const issuer = await bed.issuer()
      const of = bed.api({ issuers: [issuer.issuer] })
      expect(await outcome(of, bearer(issuer.token()))).toEqual(granted)
      const attacker = strangeKey('k1')
      const members: Record<string, unknown>[] = [
        { jwk: attacker.publicJwk },
        { jku: url },
        { x5u: url },
        { x5c: ['MIIB'] },
        { x5t: 'abc', 'x5t#S256': 'abc' },
        { jwk: attacker.publicJwk, jku: url, x5u: url, kid: undefined }
      ]
      for (const header of members) {
        const token = issuer.token({ key: attacker, header })
        expect(await outcome(of, bearer(token))).toEqual(refused('DEN-05', 'signature'))
      }
      expect(visits).toBe(0)
      // One renewal in the background, whatever the tokens say (KEY-07).
      await issuer.received('jwks', 2)
      expect([issuer.count('metadata'), issuer.count('jwks')]).toEqual([1, 2])
    } finally {
      trap.close()
    }
  })

  test('JOS-10 (RFC 8725 §3.10): verifies a good token that carries its own key with the issuer’s key', async () => {
    const header = { jwk: strangeKey('k1').publicJwk, jku: 'http://127.0.0.1:1/' }
    expect(await outcome(server, bearer(accessToken({ header })))).toEqual(granted)
  })

  test('ORD-03 DEN-09 (RFC 8725 §3.10): asks neither an unknown issuer nor the known one', async () => {
    const issuer = await bed.issuer()
    const other = await bed.issuer()
    const of = bed.api({ issuers: [issuer.issuer] })
    expect(await outcome(of, bearer(other.token()))).toEqual(refused('DEN-09', 'issuer'))
    expect([issuer.requests.length, other.requests.length]).toEqual([0, 0])
  })

  test('ORD-03 ATV-03 (RFC 8725 §3.8): sends nothing to an issuer that looks nearly like ours', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [issuer.issuer] })
    for (const iss of [
      `${issuer.issuer}/`,
      issuer.issuer.replace('127.0.0.1', 'localhost'),
      issuer.issuer.toUpperCase()
    ]) {
      expect(await outcome(of, bearer(issuer.token({ claims: { iss } })))).toEqual(refused('DEN-09', 'issuer'))
    }
    expect(issuer.requests).toHaveLength(0)
  })

  const hopeless: readonly [string, (issuer: TestIssuer) => string][] = [
    ['a wrong type', (issuer) => issuer.token({ header: { typ: 'JWT' } })],
    ['a wrong algorithm', (issuer) => issuer.token({ header: { alg: 'none' } })],
    ['a wrong audience', (issuer) => issuer.token({ claims: { aud: 'x' } })],
    ['no subject', (issuer) => issuer.token({ claims: { sub: undefined } })],
    ['an end in the past', (issuer) => issuer.token({ claims: { exp: 1 } })],
    ['a crit', (issuer) => issuer.token({ header: { crit: ['x'] } })],
    ['a kid that is too long', (issuer) => issuer.token({ header: { kid: 'x'.repeat(257) } })],
    ['a broken signature segment', (issuer) => `${issuer.token()}A==`]
  ]
  test.each(hopeless)('ORD-03 ORD-01 (RFC 8725 §3.10): a token with %s causes no request', async (_, make) => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [issuer.issuer] })
    expect((await outcome(of, bearer(make(issuer)))).status).toBe(401)
    expect(issuer.requests).toHaveLength(0)
  })
})

describe('RFC 8725 §3.11, §3.12: one kind of JWT is not another', () => {
  const kinds: readonly [string, string][] = [
    ['an ID token', 'JWT'],
    ['a logout token', 'logout+jwt'],
    ['a security event token', 'secevent+jwt'],
    ['a DPoP proof', 'dpop+jwt'],
    ['an introspection response', 'token-introspection+jwt'],
    ['a status list', 'statuslist+jwt'],
    ['a client assertion', 'client-authentication+jwt'],
    ['a request object', 'oauth-authz-req+jwt'],
    ['a verifiable credential', 'vc+sd-jwt']
  ]
  test.each(kinds)(
    'DEN-12 INT-20 ATV-11 (RFC 8725 §3.11): refuses %s, by its typ %s, though the issuer’s key signed it',
    async (_, typ) => {
      expect(await outcome(server, bearer(accessToken({ header: { typ } })))).toEqual(refused('DEN-12', 'type'))
    }
  )

  test('SET-10 DEN-12 (RFC 8417 §4): no content of a security event makes it an access token', async () => {
    const claims = { events: { 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': {} } }
    const token = accessToken({ header: { typ: 'secevent+jwt' }, claims })
    expect(await outcome(server, bearer(token))).toEqual(refused('DEN-12', 'type'))
    expect(await outcome(api({}, { tokenProfile: 'legacy' }), bearer(accessToken({ claims })))).toEqual(
      refused('DEN-12', 'type')
    )
  })

  test('ATV-16 KEY-01 DEN-05 (RFC 8725 §3.8): the key of one issuer verifies nothing of another, with or without kid', async () => {
    const first = createSigningKey('ES256')
    const second = createSigningKey('ES256')
    const of = api({
      issuers: [
        { issuer: ISSUER, jwks: keySet(first) },
        { issuer: 'https://b.example', jwks: keySet(second) }
      ]
    })
    const issue = (iss: string, key: typeof first, header = {}): string =>
      signJws({ typ: 'at+jwt', alg: 'ES256', kid: 'k1', ...header }, { ...validClaims, iss }, key)
    expect(await outcome(of, bearer(issue(ISSUER, first)))).toEqual(granted)
    expect(await outcome(of, bearer(issue('https://b.example', second)))).toEqual(granted)
    expect(await outcome(of, bearer(issue(ISSUER, second)))).toEqual(refused('DEN-05', 'signature'))
    expect(await outcome(of, bearer(issue('https://b.example', first, { kid: undefined })))).toEqual(
      refused('DEN-05', 'signature')
    )
  })
})
