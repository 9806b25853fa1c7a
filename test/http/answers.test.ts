/** What an authorization server answered in place of what was asked for is told to the operator, in the `hint`. */
import { describe, expect, test } from 'vitest'
import { authorize, createBed, introspecting, refusal } from '../support/exchange.js'
import { createSigningKey, fault } from '../support/issuer.js'

const bed = createBed()

describe('a redirect is reported as not followed, with the option that sets the URL', () => {
  test.each([
    ['metadata', 500, /answered 302, a redirect, which is not followed.* give `metadataUrl` or `jwksUri`/],
    ['jwks', 503, /answered 302, a redirect, which is not followed for the key set: set `jwksUri` to the address/]
  ] as const)('of the %s: %i', async (endpoint, status, hint) => {
    const issuer = await bed.issuer()
    issuer.always(endpoint, fault.redirect())
    const api = bed.api({ issuers: [issuer.issuer] })
    const error = await refusal(() => authorize(api, issuer.token()))
    expect({ status: error.status, hint: error.hint }).toEqual({ status, hint: expect.stringMatching(hint) })
    expect(issuer.count('other')).toBe(0)
  })

  test.each([301, 302, 303, 307, 308])('of the introspection endpoint, by %i: 500', async (code) => {
    const issuer = await bed.issuer()
    issuer.always('introspection', fault.redirect('/elsewhere', code))
    const api = bed.api({ issuers: [introspecting(issuer)] })
    const error = await refusal(() => authorize(api, issuer.opaque()))
    expect(error.status).toBe(500)
    expect(error.hint).toContain(`answered ${code}, a redirect, which is not followed`)
    expect(error.hint).toContain('check `introspection.endpoint`')
    expect(issuer.count('other')).toBe(0)
  })
})

test('a set of 101 keys is refused with its size and the limit; 100 keys are read', async () => {
  const issuer = await bed.issuer()
  const { publicJwk } = createSigningKey('ES256')
  while (issuer.jwks.keys.length < 100) issuer.jwks.keys.push({ ...publicJwk, kid: `more-${issuer.jwks.keys.length}` })
  await expect(bed.api({ issuers: [issuer.issuer] }).ready()).resolves.toBeUndefined()
  issuer.jwks.keys.push({ ...publicJwk, kid: 'one too many' })
  const error = await refusal(() => bed.api({ issuers: [issuer.issuer] }).ready())
  expect(error.status).toBe(503)
  expect(error.hint).toContain('did not answer with a key set: a key set of 101 keys; at most 100 are read')
})

test('a key endpoint that rejects the credentials of `jwksAuth` is reported so, without advice to configure it', async () => {
  const issuer = await bed.issuer()
  issuer.always('jwks', fault.status(403))
  const entry = { issuer: issuer.issuer, jwksUri: `${issuer.origin}/jwks` }
  const without = await refusal(() => bed.api({ issuers: [entry] }).ready())
  expect(without.hint).toContain('needs `jwksUri` and `jwksAuth`')
  const jwksAuth = (): Record<string, string> => ({ authorization: 'Bearer secret' })
  const refused = await refusal(() => bed.api({ issuers: [{ ...entry, jwksAuth }] }).ready())
  expect(refused.hint).toContain('answered 403 for the key set: it does not accept the credentials of `jwksAuth`')
  expect(refused.hint).not.toContain('needs')
})
