/** `cnf`: a token that is bound to a key is of no use to whoever merely has it. */
import { BlockList } from 'node:net'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { VerifiedAccessToken } from '../../src/access-token/verified-access-token.js'
import type { CertificateSource } from '../../src/confirmation/certificate.js'
import {
  accessTokenOf,
  type ConfirmationSettings,
  createConfirm,
  isAccess
} from '../../src/confirmation/confirmation.js'
import { sha256 } from '../../src/jwt/key-set.js'
import type { Access, Credentials, Scheme } from '../../src/types.js'
import { createBed, introspecting } from '../support/exchange.js'
import {
  access,
  accessToken,
  api,
  bearer,
  get,
  granted,
  ISSUER,
  NOW,
  outcome,
  RESOURCE,
  refusal,
  refused
} from '../support/refusals.js'

/** A source that reads this field, or the connection. */
function certificateIn(field: string | undefined): CertificateSource {
  return { field, parse: () => undefined, trustedProxies: new BlockList() }
}

const bed = createBed()
const server = api()
const jkt = '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I'
const thumbprint = 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2'
const withClaims = (claims: Record<string, unknown>): ReturnType<typeof outcome> =>
  outcome(server, bearer(accessToken({ claims })))

describe('a token with cnf, sent as Bearer', () => {
  test('DPP-25 DEN-21 (RFC 9449 §7.2): is refused with jkt, even of a wrong type', async () => {
    for (const value of [jkt, '', null, 1]) {
      expect(await withClaims({ cnf: { jkt: value } })).toEqual(refused('DEN-21', 'dpop_downgrade'))
    }
  })

  test('MTL-03 DEN-15 (RFC 8705 §3): is refused with x5t#S256', async () => {
    expect(await withClaims({ cnf: { 'x5t#S256': thumbprint } })).toEqual(refused('DEN-15', 'certificate_binding'))
  })

  test('DEF-17 DEN-21: is refused for DPoP first if it has both', async () => {
    expect(await withClaims({ cnf: { 'x5t#S256': thumbprint, jkt } })).toEqual(refused('DEN-21', 'dpop_downgrade'))
  })

  test('DEF-17 DEN-11 (RFC 7800 §3.1): is refused with only unknown members, or with none', async () => {
    for (const cnf of [{}, { jwk: {} }, { kid: 'x' }, { jwe: 'x' }, { 'x5t#s256': thumbprint }, { JKT: jkt }]) {
      expect(await withClaims({ cnf })).toEqual(refused('DEN-11', 'confirmation_unknown'))
    }
  })

  test('DPP-25: is refused if it says that it is a DPoP token', async () => {
    for (const type of ['DPoP', 'dpop', 'DPOP']) {
      expect(await withClaims({ token_type: type })).toEqual(refused('DEN-21', 'dpop_downgrade'))
    }
    for (const type of ['Bearer', 'access_token', 1, null])
      expect(await withClaims({ token_type: type })).toEqual(granted)
  })

  test('INT-13 DEN-21 (RFC 9449 §6.2): is refused each time if it was introspected', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({ cnf: { jkt } })
    for (const _ of [1, 2]) expect(await outcome(of, bearer(token))).toEqual(refused('DEN-21', 'dpop_downgrade'))
    expect(issuer.count('introspection')).toBe(1)
  })

  test('is refused each time, also from the cache', async () => {
    const token = accessToken({ claims: { cnf: { jkt } } })
    for (const _ of [1, 2, 3]) expect(await outcome(server, bearer(token))).toEqual(refused('DEN-21', 'dpop_downgrade'))
  })
})

describe('createConfirm', () => {
  const certificate = Buffer.from('a certificate')
  const cnf = { jkt: { jkt }, x5t: { 'x5t#S256': sha256(certificate) } }
  const both = { ...cnf.jkt, ...cnf.x5t }
  interface Given {
    readonly cnf?: Record<string, unknown>
    readonly type?: unknown
    readonly scheme?: Scheme
    readonly settings?: Partial<ConfirmationSettings>
    readonly fields?: Record<string, string>
  }

  /** What a token as an issuer may bind it becomes, with the client's certificate there and a proof that is good. */
  function confirmed(given: Given): Promise<Access> {
    return confirming(given)()
  }

  /** The same token, each time that it comes. */
  function confirming({ cnf: confirmation, type, scheme = 'Bearer', settings, fields }: Given): () => Promise<Access> {
    const token = {
      token: 'the token',
      hash: 'its digest',
      scopes: ['a'],
      claims: { token_type: type },
      confirmation,
      hasScope: () => true
    }
    const confirm = createConfirm({
      signalOf: () => expect.unreachable(),
      readCertificate: () => certificate,
      certificate: certificateIn('Client-Cert'),
      verifyProof: () => undefined,
      require: undefined,
      ...settings
    })
    const credentials: Credentials = { scheme, field: `${scheme} the token`, token: 'the token', proofs: ['a proof'] }
    const request = get(fields, { method: 'PUT', url: '/items/1?x' })
    return async () => confirm(token as unknown as VerifiedAccessToken, credentials, request)
  }
  const reasonOf = async (given: Given): Promise<string> => (await refusal(() => confirmed(given))).reason

  test('DEF-17 (RFC 7800 §3.1): confirms each kind of binding by its own means, and both by both', async () => {
    const expected: readonly (readonly [Given, Access['confirmedBy'], Access['responseHeaders']])[] = [
      [{}, [], {}],
      [{ cnf: cnf.x5t }, ['certificate'], { Vary: 'Client-Cert' }],
      [{ cnf: cnf.jkt, scheme: 'DPoP' }, ['dpop'], {}],
      [{ cnf: both, scheme: 'DPoP' }, ['dpop', 'certificate'], { Vary: 'Client-Cert' }]
    ]
    for (const [given, confirmedBy, responseHeaders] of expected) {
      const one = await confirmed(given)
      expect(one).toMatchObject({ scheme: given.scheme ?? 'Bearer', confirmedBy, responseHeaders })
      expect(one.responseHeaders).toEqual(responseHeaders)
      expect(Object.isFrozen(one) && Object.isFrozen(one.confirmedBy) && Object.isFrozen(one.responseHeaders)).toBe(
        true
      )
    }
  })

  test('MTL-05: adds no Vary if the certificate comes from the connection', async () => {
    const one = await confirmed({ cnf: cnf.x5t, settings: { certificate: certificateIn(undefined) } })
    expect(Object.keys(one.responseHeaders)).toEqual([])
  })

  test('MTL-03 (RFC 8705 §3): refuses a missing or different certificate, whatever else the request has', async () => {
    for (const other of [undefined, Buffer.from('another')])
      for (const [binding, scheme] of [
        [cnf.x5t, 'Bearer'],
        [both, 'DPoP']
      ] as const)
        expect(await reasonOf({ cnf: binding, scheme, settings: { readCertificate: () => other } })).toBe(
          'certificate_binding'
        )
  })

  test('MTL-03: tells the operator whether the certificate was missing or another one', async () => {
    const hintOf = async (certificate?: Buffer): Promise<string> =>
      (await refusal(() => confirmed({ cnf: cnf.x5t, settings: { readCertificate: () => certificate } }))).hint
    expect(await hintOf(Buffer.from('another'))).toContain('The client presented a certificate, but the token is bound')
    expect(await hintOf()).not.toContain('The client presented a certificate')
    expect(await hintOf()).toContain('The request came from an address')
  })

  test('MTL-04 DEF-17: tells the operator that the token must be bound as `requireSenderConstrained` says', async () => {
    for (const given of [{}, { cnf: cnf.jkt, scheme: 'DPoP' as const }]) {
      const error = await refusal(() => confirmed({ ...given, settings: { require: 'certificate' } }))
      expect(error.hint).toContain('not bound as `requireSenderConstrained` requires')
    }
  })

  test('DEN-21 DEN-23 (RFC 9449 §7.1, §7.2): requires that scheme and token agree, both ways', async () => {
    for (const binding of [cnf.jkt, both]) expect(await reasonOf({ cnf: binding })).toBe('dpop_downgrade')
    expect(await reasonOf({ type: 'dPoP' })).toBe('dpop_downgrade')
    expect(await reasonOf({ cnf: cnf.x5t, type: 'DPoP' })).toBe('dpop_downgrade')
    for (const binding of [undefined, {}, { kid: 'x' }, cnf.x5t])
      expect(await reasonOf({ ...(binding && { cnf: binding }), scheme: 'DPoP' })).toBe('dpop_unbound')
  })

  test('INT-13 (RFC 9449 §6.2): refuses a bound token whose introspection answer calls it a bearer token', async () => {
    const error = await refusal(() => confirmed({ cnf: cnf.jkt, scheme: 'DPoP', type: 'Bearer' }))
    expect(error).toMatchObject({ reason: 'claim', expected: 'token_type: DPoP', received: 'Bearer' })
    for (const type of ['DPoP', 'dpop', 'access_token', 1, null])
      expect((await confirmed({ cnf: cnf.jkt, scheme: 'DPoP', type })).confirmedBy).toEqual(['dpop'])
  })

  test('DEF-17: refuses a token with only unknown bindings, and tells the log their names', async () => {
    for (const binding of [{}, { kid: 'x', jwe: 'y' }]) {
      const error = await refusal(() => confirmed({ cnf: binding }))
      expect(error).toMatchObject({ reason: 'confirmation_unknown', received: Object.keys(binding) })
    }
  })

  test('MTL-04: with a required certificate, refuses a token that is not bound to one, even if it is bound to another key', async () => {
    const settings = { require: 'certificate' as const }
    for (const given of [{}, { cnf: {} }, { cnf: cnf.jkt, scheme: 'DPoP' as const }])
      expect(await reasonOf({ ...given, settings })).toBe('certificate_binding')
    expect((await confirmed({ cnf: cnf.x5t, settings })).confirmedBy).toEqual(['certificate'])
    expect((await confirmed({ cnf: both, scheme: 'DPoP', settings })).confirmedBy).toEqual(['dpop', 'certificate'])
  })

  test('DEF-17 (RFC 9700 §2.2.1): with any required binding, refuses an unbound token', async () => {
    const settings = { require: 'any' as const }
    expect(await reasonOf({ settings })).toBe('certificate_binding')
    expect(await reasonOf({ cnf: {}, settings })).toBe('confirmation_unknown')
    expect((await confirmed({ cnf: cnf.x5t, settings })).confirmedBy).toEqual(['certificate'])
    expect((await confirmed({ cnf: cnf.jkt, scheme: 'DPoP', settings })).confirmedBy).toEqual(['dpop'])
  })

  test('DPP-25: verifies a proof against the request’s method, target, token and key', async () => {
    const seen: unknown[] = []
    const settings: Partial<ConfirmationSettings> = { verifyProof: (...given) => void seen.push(given) }
    await confirmed({ cnf: cnf.jkt, scheme: 'DPoP', settings })
    // What is no text is no key's thumbprint.
    await confirmed({ cnf: { jkt: 7 }, scheme: 'DPoP', settings })
    const expected = { method: 'PUT', target: '/items/1?x', tokenHash: 'its digest' }
    expect(seen).toEqual([
      [['a proof'], { ...expected, jkt }],
      [['a proof'], { ...expected, jkt: '' }]
    ])
  })

  test('DEN-24 (RFC 9449 §8.2): sends a nonce with a response that caches do not store and a script may read', async () => {
    const settings: Partial<ConfirmationSettings> = { verifyProof: async () => 'n1' }
    const withNonce = { 'DPoP-Nonce': 'n1', 'Cache-Control': 'no-store' }
    const given: Given = { cnf: cnf.jkt, scheme: 'DPoP', settings }
    expect((await confirmed(given)).responseHeaders).toEqual(withNonce)
    expect((await confirmed({ ...given, cnf: both })).responseHeaders).toEqual({ Vary: 'Client-Cert', ...withNonce })
    const one = await confirmed({ ...given, fields: { origin: 'https://app.example.com' } })
    expect(one.responseHeaders).toEqual({ ...withNonce, 'Access-Control-Expose-Headers': 'DPoP-Nonce' })
    expect(Object.isFrozen(one.responseHeaders)).toBe(true)
  })

  test('DPP-25 DEN-24: all requests with a token share one access, unless it holds data of a request', async () => {
    let asked = 0
    const verifyProof = (): string | undefined => (++asked === 3 ? 'n1' : undefined)
    const next = confirming({ cnf: cnf.jkt, scheme: 'DPoP', settings: { verifyProof } })
    const [first, second, third, fourth] = [await next(), await next(), await next(), await next()]
    expect([second, fourth].map((one) => one === first)).toEqual([true, true])
    expect(third).not.toBe(first)
    expect([first?.responseHeaders, third?.responseHeaders]).toMatchObject([{}, { 'DPoP-Nonce': 'n1' }])
    // Whoever has the access has not proved anything yet.
    expect(asked).toBe(4)
    for (const [binding, scheme] of [
      [cnf.x5t, 'Bearer'],
      [both, 'DPoP']
    ] as const) {
      // A certificate is looked at each time, and the answer may depend on it.
      for (const certificateField of ['Client-Cert', undefined]) {
        const bound = confirming({ cnf: binding, scheme, settings: { certificate: certificateIn(certificateField) } })
        expect(await bound()).not.toBe(await bound())
      }
    }
  })

  test('renewing an access with new facts keeps its sender', async () => {
    const before = await confirmed({ cnf: both, scheme: 'DPoP', settings: { verifyProof: () => 'n1' } })
    const other = createConfirm({
      signalOf: () => expect.unreachable(),
      readCertificate: () => undefined,
      certificate: certificateIn(undefined),
      verifyProof: () => expect.unreachable(),
      require: 'certificate'
    })
    const token = { token: 'newer', scopes: ['b'], claims: {}, hasScope: (one: string) => one === 'b' }
    const after = other.renew(before, token as unknown as VerifiedAccessToken)
    const { scheme, confirmedBy, responseHeaders } = before
    expect(after).toMatchObject({ scheme, confirmedBy, responseHeaders, token: 'newer', scopes: ['b'] })
    expect([after.hasScope('b'), after.hasScope('a')]).toEqual([true, false])
    expect([accessTokenOf(before).token, accessTokenOf(after)]).toEqual(['the token', token])
    expect(isAccess(after)).toBe(true)
  })
})

describe('the access', () => {
  test('all requests with one token get one object with the token’s members', async () => {
    const token = await access(server, accessToken())
    expect(isAccess(token)).toBe(true)
    expect(Object.isFrozen(token)).toBe(true)
    const confirm = createConfirm({
      signalOf: () => expect.unreachable(),
      readCertificate: () => undefined,
      certificate: certificateIn(undefined),
      verifyProof: () => undefined,
      require: undefined
    })
    const credentials: Credentials = { scheme: 'Bearer', field: 'Bearer x', token: 'x', proofs: [] }
    const verified = accessTokenOf(token)
    const once = confirm(verified, credentials, get())
    expect(once).toBe(token)
    expect(confirm(verified, credentials, get())).toBe(once)
    expect(once).toMatchObject({ scheme: 'Bearer', confirmedBy: [], responseHeaders: {} })
  })

  test('an access has the members of its token, and ends with the leeway of its server', async () => {
    const tolerant = api({ clockTolerance: 7 }, { rolesClaim: 'roles' })
    const one = await access(tolerant, accessToken({ claims: { roles: ['admin'] } }))
    expect(one).toMatchObject({
      issuer: ISSUER,
      subject: 'u1',
      subjectType: 'unknown',
      clientId: 'c1',
      audience: [RESOURCE],
      scopes: ['read'],
      roles: ['admin'],
      issuedAt: NOW - 10,
      expiresAt: NOW + 300,
      acceptedUntil: NOW + 307,
      claims: { jti: 't1' }
    })
    expect(one.confirmation).toBeUndefined()
    expect(one.signal.aborted).toBe(false)
    expect([one.hasScope('read'), one.hasScope('write')]).toEqual([true, false])
  })

  test('the access of a token without exp has no end', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const one = await access(of, issuer.opaque({ exp: undefined }))
    expect([one.expiresAt, one.acceptedUntil]).toEqual([undefined, undefined])
  })

  test('an access is accepted only by the server that granted it', async () => {
    const create = (): ReturnType<typeof createConfirm> =>
      createConfirm({
        signalOf: () => expect.unreachable(),
        readCertificate: () => undefined,
        certificate: certificateIn(undefined),
        verifyProof: () => undefined,
        require: undefined
      })
    const [confirm, another] = [create(), create()]
    const verified = accessTokenOf(await access(server, accessToken()))
    verified.access = undefined
    const mine = (await confirm(
      verified,
      { scheme: 'Bearer', field: 'Bearer x', token: 'x', proofs: [] },
      get()
    )) as Access
    expect([confirm.made(mine), another.made(mine)]).toEqual([true, false])
    for (const other of [undefined, null, 'x', {}, { ...mine }, Object.create(mine) as unknown])
      expect(confirm.made(other)).toBe(false)
  })

  test('an access is told apart from an object that another package stored in its place', () => {
    for (const other of [undefined, null, 'x', {}, { scheme: 'Bearer', token: 'x' }, Object.create(null)]) {
      expect(isAccess(other)).toBe(false)
    }
  })

  test('SEC-01: an access shows its token only to code that reads the property', async () => {
    const text = accessToken()
    const one = await access(server, text)
    const signature = text.split('.')[2] as string
    expect(one.token).toBe(text)
    expect(Object.keys(one)).not.toContain('token')
    expect(JSON.stringify(one)).not.toContain(signature)
    expect(JSON.stringify({ ...one })).not.toContain(signature)
    expect(inspect(one, { depth: 9 })).not.toContain(signature)
    expect(inspect(one, { depth: 9, showHidden: true })).not.toContain(signature)
    expect(JSON.stringify(structuredClone({ ...one }))).not.toContain(signature)
  })
})
