/** ATV-12: the table by which `tokenProfile: 'legacy'` tells access tokens, with the tokens that authorization servers issue. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { IssuerOptions } from '../../src/index.js'
import { signJws } from '../support/issuer.js'
import {
  api,
  bearer,
  ISSUER,
  issuerKey,
  NOW,
  outcome,
  RESOURCE,
  refusal,
  refused,
  validClaims
} from '../support/refusals.js'

type Claims = Readonly<Record<string, unknown>>

interface Shape extends Pick<IssuerOptions, 'requiredClaimValues' | 'scopeClaim' | 'clientIdClaim' | 'audienceClaim'> {
  readonly name: string
  readonly header: Claims
  readonly claims: Claims
  readonly audience: string | readonly string[] | null
  readonly outcome: 'accepted' | 'refused'
  readonly row: number
  /** What the hint names, in this order. */
  readonly hint?: readonly string[]
}

const { now, shapes } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../vectors/vendor-shapes.json'), 'utf8')
) as { readonly now: number; readonly shapes: readonly Shape[] }

const tokenOf = ({ header, claims }: Pick<Shape, 'header' | 'claims'>): string =>
  signJws({ ...header, alg: issuerKey.alg, kid: issuerKey.kid }, { iss: ISSUER, ...claims }, issuerKey)

function serverFor({ audience, scopeClaim, clientIdClaim, audienceClaim, requiredClaimValues }: Shape) {
  return api(
    {},
    {
      tokenProfile: 'legacy',
      audience,
      ...(scopeClaim !== undefined && { scopeClaim }),
      ...(clientIdClaim !== undefined && { clientIdClaim }),
      ...(audienceClaim !== undefined && { audienceClaim }),
      ...(requiredClaimValues !== undefined && { requiredClaimValues })
    }
  )
}

const sub = (claims: Claims, header: Claims = { typ: 'JWT' }): string =>
  tokenOf({ header, claims: { aud: RESOURCE, exp: NOW + 300, ...claims } })
const type = refused('DEN-12', 'type')

describe('ATV-12 (RFC 8725 §3.12): the table of `profile: legacy`', () => {
  test.each(shapes.filter((one) => one.outcome === 'accepted'))(
    'ATV-12: row $row accepts as an access token: $name',
    async (shape) => {
      expect(now).toBe(NOW)
      expect(await serverFor(shape).authorize(bearer(tokenOf(shape)))).toMatchObject({ issuer: ISSUER })
    }
  )

  test.each(shapes.filter((one) => one.outcome === 'refused'))(
    'ATV-12 DEN-12: row $row refuses: $name',
    async (shape) => {
      const server = serverFor(shape)
      expect(await outcome(server, bearer(tokenOf(shape)))).toEqual(type)
      const { hint, message } = await refusal(() => server.authorize(bearer(tokenOf(shape))))
      if (shape.row < 3) return
      expect(hint).toContain('`requiredClaimValues: {')
      for (const name of shape.hint ?? []) expect(hint).toContain(`\`${name}\``)
      const values = Object.values(shape.claims).filter((one) => typeof one === 'string' && one.length > 6)
      for (const value of values) expect(hint + message).not.toContain(value)
    }
  )

  test.each(shapes.filter(({ hint }) => hint !== undefined))(
    'ATV-12: the claim that the hint names makes it an access token: $name',
    async (shape) => {
      const [name = ''] = shape.hint ?? []
      const { hint } = await refusal(() => serverFor(shape).authorize(bearer(tokenOf(shape))))
      expect(hint).toContain(`requiredClaimValues: { ${name}: [...] }`)
      const required = { ...shape, requiredClaimValues: { [name]: [shape.claims[name] as string] } }
      expect(await serverFor(required).authorize(bearer(tokenOf(shape)))).toMatchObject({ issuer: ISSUER })
      expect(
        await outcome(serverFor(required), bearer(tokenOf({ ...shape, claims: { ...shape.claims, [name]: 'x' } })))
      ).toEqual(type)
    }
  )
})

describe('ATV-12: the order of the rows', () => {
  const server = api({}, { tokenProfile: 'legacy' })

  test('ATV-12: row 1 decides before row 2 and row 3: token_use access with at_hash and nonce is accepted', async () => {
    for (const mark of [{ token_use: 'access' }, { tokenName: 'access_token' }])
      expect(await server.authorize(bearer(sub({ ...mark, at_hash: 'h', nonce: 'n', typ: 'ID' })))).toMatchObject({
        issuer: ISSUER
      })
  })

  test('ATV-12: row 2 decides before row 4: at_hash is refused beside a scope claim and a client claim', async () => {
    expect(await outcome(server, bearer(sub({ ...validClaims, at_hash: 'h' })))).toEqual(type)
  })

  test('ATV-12 DEN-12: requiredClaimValues that are not met are refused, whatever else the token says', async () => {
    const strict = api({}, { tokenProfile: 'legacy', requiredClaimValues: { kind: ['access'] } })
    for (const kind of [undefined, 'id', ['access'], { access: true }])
      expect(await outcome(strict, bearer(sub({ ...validClaims, token_use: 'access', kind })))).toEqual(type)
  })

  test.each(['azp', 'client_id', 'cid', 'appid', 'tid', 'iss', 'aud', 'app'])(
    'ATV-12 DEN-12: a requirement on %s, which says whose a token is, does not make an ID token an access token',
    async (name) => {
      const audience = 'web'
      const options = { audience, tokenProfile: 'legacy', clientIdClaim: ['client_id', 'app'] } as const
      const value = name === 'iss' ? ISSUER : 'web'
      const strict = api({}, { ...options, requiredClaimValues: { [name]: [value] } })
      for (const mark of [{ nonce: 'n' }, { at_hash: 'h' }, {}])
        expect(await outcome(strict, bearer(sub({ sub: 'u1', ...mark, aud: 'web', [name]: value })))).toEqual(type)
    }
  )

  test('ATV-12 DEN-12: neither a scope claim nor a client claim of another type than text counts', async () => {
    for (const claims of [{ scope: 7 }, { scp: null }, { scope: {} }, { azp: 7 }, { cid: '' }, { appid: ['x'] }])
      expect(await outcome(server, bearer(sub({ sub: 'u1', ...claims })))).toEqual(type)
  })

  test('ATV-12: a client claim that is not the audience is accepted, in each claim that is known for it', async () => {
    for (const name of ['client_id', 'azp', 'cid', 'appid'])
      expect(await server.authorize(bearer(sub({ sub: 'u1', [name]: 'c1' })))).toMatchObject({ subject: 'u1' })
  })

  test('ATV-04 DEN-10: a token for another audience is refused for that, whatever kind it is', async () => {
    expect(await outcome(server, bearer(sub({ sub: 'u1', aud: 'web' })))).toEqual(refused('DEN-10', 'audience'))
    expect(await outcome(server, bearer(sub({ sub: 'u1', aud: 7 })))).toEqual(refused('DEN-11', 'claim'))
  })

  test('ATV-12 SEC-01: the hint shows no claim name that the token made up, and no value', async () => {
    const secrets = { ['SECRET'.repeat(3)]: 'x', role: 'SECRET value', 'kubernetes.io': { SECRET: 1 }, sub: 'a:SECRET' }
    const { hint, message } = await refusal(() => server.authorize(bearer(sub(secrets))))
    expect(hint).toContain('`role`, `sub`')
    expect(hint + message).not.toContain('SECRET')
  })

  test('ATV-12: the hint says so where a token has no claim that could tell', async () => {
    const { hint } = await refusal(() => server.authorize(bearer(sub({ sub: 'u1' }))))
    expect(hint).toContain('This token has no claim that could show it.')
  })
})
