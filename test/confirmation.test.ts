/** `cnf`: a token that is bound to a key is of no use to whoever merely has it. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { createConfirm, isAccess } from '../src/confirmation.js'
import type { AccessToken, Credentials } from '../src/types.js'
import { createBed, introspecting } from './support/exchange.js'
import { access, accessToken, api, bearer, get, granted, outcome, refused } from './support/refusals.js'

const bed = createBed()
const server = api()
const jkt = '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I'
const thumbprint = 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2'
const withClaims = (claims: Record<string, unknown>): ReturnType<typeof outcome> =>
  outcome(server, bearer(accessToken({ claims })))

describe('a token with cnf', () => {
  test('DPP-25 DEN-21 (RFC 9449 §7.2): jkt, also of a wrong type, is refused', async () => {
    for (const value of [jkt, '', null, 1]) {
      expect(await withClaims({ cnf: { jkt: value } })).toEqual(refused('DEN-21', 'dpop_downgrade'))
    }
  })

  test('MTL-03 DEN-15 (RFC 8705 §3): x5t#S256 is refused', async () => {
    expect(await withClaims({ cnf: { 'x5t#S256': thumbprint } })).toEqual(refused('DEN-15', 'certificate_binding'))
  })

  test('DEF-17 DEN-21: with both, DPoP is named first', async () => {
    expect(await withClaims({ cnf: { 'x5t#S256': thumbprint, jkt } })).toEqual(refused('DEN-21', 'dpop_downgrade'))
  })

  test('DEF-17 DEN-11 (RFC 7800 §3.1): members that nobody here knows are refused, and so is none', async () => {
    for (const cnf of [{}, { jwk: {} }, { kid: 'x' }, { jwe: 'x' }, { 'x5t#s256': thumbprint }, { JKT: jkt }]) {
      expect(await withClaims({ cnf })).toEqual(refused('DEN-11', 'confirmation_unknown'))
    }
  })

  test('DPP-25: a token that says it is a DPoP token is one', async () => {
    for (const type of ['DPoP', 'dpop', 'DPOP']) {
      expect(await withClaims({ token_type: type })).toEqual(refused('DEN-21', 'dpop_downgrade'))
    }
    for (const type of ['Bearer', 'access_token', 1, null])
      expect(await withClaims({ token_type: type })).toEqual(granted)
  })

  test('INT-13 DEN-21 (RFC 9449 §6.2): the same for an introspected token, every time', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.opaque({ cnf: { jkt } })
    for (const _ of [1, 2]) expect(await outcome(of, bearer(token))).toEqual(refused('DEN-21', 'dpop_downgrade'))
    expect(issuer.count('introspection')).toBe(1)
  })

  test('a bound token is refused as often as it comes, from the cache too', async () => {
    const token = accessToken({ claims: { cnf: { jkt } } })
    for (const _ of [1, 2, 3]) expect(await outcome(server, bearer(token))).toEqual(refused('DEN-21', 'dpop_downgrade'))
  })
})

describe('the access', () => {
  test('of one token is one object, whose members are the token’s', async () => {
    const token = await access(server, accessToken())
    expect(isAccess(token)).toBe(true)
    expect(Object.isFrozen(token)).toBe(true)
    const confirm = createConfirm({
      readCertificate: () => undefined,
      certificateField: undefined,
      verifyProof: () => undefined,
      require: undefined
    })
    const credentials: Credentials = { scheme: 'Bearer', token: 'x', proofs: [] }
    const once = confirm(token as AccessToken, credentials, get())
    expect(once).toBe(confirm(token as AccessToken, credentials, get()))
    expect(once).toMatchObject({ scheme: 'Bearer', confirmedBy: [], responseHeaders: {} })
  })

  test('is told from what another package may have put in its place', () => {
    for (const other of [undefined, null, 'x', {}, { scheme: 'Bearer', token: 'x' }, Object.create(null)]) {
      expect(isAccess(other)).toBe(false)
    }
  })

  test('SEC-01: shows its token to those who ask for it by name only', async () => {
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
