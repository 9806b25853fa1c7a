/**
 * Profiles of hosted services, authorization servers and workloads: the token that each vendor documents is accepted and
 * read right, and what comes near it is refused. Keys are fetched at the vendors' own URLs, behind which a server of this
 * machine stands.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type IssuerOptions, resourceServer, scope } from '../../src/index.js'
import * as profiles from '../../src/profiles/index.js'
import {
  type Answered,
  ask,
  authorize,
  createBed,
  denial,
  granted,
  RESOURCE,
  redirectingAgent
} from '../support/exchange.js'
import { createSigningKey, fault, signJws } from '../support/issuer.js'

type JsonObject = Readonly<Record<string, unknown>>

const bed = createBed()
const NOW = 1_750_000_000
const key = createSigningKey('RS256')
const strange = createSigningKey('RS256')
const times = { iat: NOW - 10, exp: NOW + 300 }
const GUID = '8e7f1a3c-0d6b-4c39-9a51-2b7d4a0c9e11'

/** Every profile, by the name that a shape has it under. */
const PROFILES: Readonly<Record<string, unknown>> = { ...profiles }

/** A variant of a token. */
interface Variant {
  readonly title: string
  /** Members set. */
  readonly header?: JsonObject
  readonly claims?: JsonObject
  /** Members removed, of the header and of the claims. */
  readonly withoutHeader?: readonly string[]
  readonly without?: readonly string[]
}

interface Vendor {
  readonly name: string
  readonly profile: keyof typeof profiles
  readonly options: JsonObject
  /** Where the keys are, and where the metadata is, if it is fetched. */
  readonly keys: string
  readonly metadata?: string
  readonly header: JsonObject
  readonly claims: JsonObject
  /** What is read from the token; null: nothing. */
  readonly access: JsonObject
  /** The answer to the token with the same issuer and audience alone. */
  readonly plain: string
  readonly accepted?: readonly Variant[]
  readonly refused: readonly (Variant & { readonly answer: string })[]
}

const VENDORS: readonly Vendor[] = (
  JSON.parse(readFileSync(join(import.meta.dirname, '../vectors/profile-shapes.json'), 'utf8')) as {
    readonly profiles: readonly Vendor[]
  }
).profiles

const ANSWERS: Readonly<Record<string, Answered>> = { ...denial, granted }

/** The members of a shape with those of a variant set and removed. */
function varied(members: JsonObject, set: JsonObject = {}, without: readonly string[] = []): JsonObject {
  return Object.fromEntries(Object.entries({ ...members, ...set }).filter(([name]) => !without.includes(name)))
}

/** For test titles: vitest shortens what it takes from an object. */
const titled = <T extends Variant>(variants: readonly T[]) => variants.map((one) => [one.title, one] as const)

function profileOf({ profile, options }: Vendor): IssuerOptions {
  return (PROFILES[profile] as (options: JsonObject) => IssuerOptions)(options)
}

describe.each(VENDORS.map((vendor) => [vendor.name, vendor] as const))('%s', (_name, vendor) => {
  const profile = profileOf(vendor)
  const token = ({ header, claims, without, withoutHeader }: Partial<Variant> = {}, by = key): string =>
    signJws(
      { alg: 'RS256', kid: 'k1', ...varied(vendor.header, header, withoutHeader) },
      { ...times, ...varied(vendor.claims, claims, without) },
      by
    )
  /** Without a scope: half of these tokens have none. */
  const answer = async (api: ReturnType<typeof bed.api>, jwt: string): Promise<Answered> => ask(api, jwt, ...noScope)

  async function start(options: IssuerOptions = profile) {
    const server = await bed.issuer()
    const places = [vendor.keys, ...(vendor.metadata === undefined ? [] : [vendor.metadata])].map((url) => new URL(url))
    const { publicJwk } = key
    for (const endpoint of ['metadata', 'jwks', 'introspection', 'other'] as const)
      server.always(endpoint, (exchange) => {
        const url = places.find(({ pathname }) => pathname === exchange.request.path)
        const isKeys = url !== undefined && url.href === new URL(vendor.keys).href
        const document = isKeys ? { keys: [publicJwk] } : { issuer: profile.issuer, jwks_uri: vendor.keys }
        return (url === undefined ? fault.status(404) : fault.body(document))(exchange)
      })
    const agent = redirectingAgent(Object.fromEntries(places.map(({ origin }) => [origin, server.origin])))
    return bed.api({ issuers: [options], http: { dispatcher: bed.closing(agent) } })
  }

  test(`accepts the documented token of ${vendor.name}, and reads scopes, client and subject`, async () => {
    const expected = Object.entries(vendor.access).map(([name, value]) => [name, value ?? undefined])
    expect(await authorize(await start(), token(), ...noScope)).toMatchObject(Object.fromEntries(expected))
  })

  test(`answers the token of ${vendor.name} without its profile as listed`, async () => {
    const { issuer, audience } = profile
    const plain = { issuer, ...(audience && { audience }), jwks: { keys: [key.publicJwk] } }
    expect(await answer(await start(plain), token())).toEqual(unscoped(ANSWERS[vendor.plain] as Answered))
  })

  test.each(titled(vendor.accepted ?? []))('accepts a token %s', async (_title, variant) => {
    expect(await answer(await start(), token(variant))).toEqual(granted)
  })

  test.each(titled(vendor.refused))('refuses %s', async (_title, variant) => {
    expect(await answer(await start(), token(variant))).toEqual(unscoped(ANSWERS[variant.answer] as Answered))
  })

  test(`refuses a token of ${vendor.name} by another key, an expired one, and an opaque one`, async () => {
    const api = await start()
    expect(await answer(api, token({}, strange))).toEqual(unscoped(denial.signature))
    expect(await answer(api, token({ claims: { exp: NOW - 60 } }))).toEqual(unscoped(denial.expired))
    expect(await answer(api, 'v1.MjQ1NjM0.refresh~token')).toEqual(unscoped(denial.malformed))
  })
})

const noScope = [() => undefined] as const

/** The answer of a route that requires no scope. */
function unscoped(answer: Answered): Answered {
  return { ...answer, challenge: answer.challenge?.replace(' scope="read",', '') ?? null }
}

test('reads no scopes if a vendor writes none, so a route with a scope refuses', async () => {
  const vendor = VENDORS.find(({ name }) => name === 'Supabase') as Vendor
  const { claims } = vendor
  const api = bed.api({
    issuers: [{ ...profileOf(vendor), jwksUri: undefined as never, jwks: { keys: [key.publicJwk] } }]
  })
  expect(await ask(api, signJws({ alg: 'RS256', kid: 'k1' }, { ...times, ...claims }, key), scope('read'))).toEqual(
    denial.scope
  )
})

describe('every profile starts', () => {
  const single = VENDORS.filter(
    ({ name }) => !['Clerk OAuth applications', 'GitHub Actions by repository'].includes(name)
  )

  test('beside all the others in one list', () => {
    expect(() => resourceServer({ resource: RESOURCE, issuers: single.map(profileOf) })).not.toThrow()
  })
})

describe('parameters', () => {
  const subjects = 'system:serviceaccount:shop:web'

  test.each<readonly [problem: string, profile: () => unknown]>([
    ['`url` is "https://a.supabase.co/"', () => profiles.supabase({ url: 'https://a.supabase.co/' })],
    ['use https', () => profiles.supabase({ url: 'http://a.supabase.co' })],
    ['it must be a project ID', () => profiles.firebase({ projectId: 'a/b' })],
    ['`projectId` is missing', () => profiles.firebase({ projectId: undefined as never })],
    ['`origins` must be given, or `clientIds`', () => profiles.clerk({ issuer: 'https://clerk.example.com' } as never)],
    [
      'and not both',
      () =>
        profiles.clerk({ issuer: 'https://clerk.example.com', origins: 'https://a.example', clientIds: 'c' } as never)
    ],
    ['`origins` is empty', () => profiles.clerk({ issuer: 'https://clerk.example.com', origins: [] })],
    [
      'an origin without path',
      () => profiles.clerk({ issuer: 'https://clerk.example.com', origins: 'https://a.example/' })
    ],
    ['`clientIds` is empty', () => profiles.clerk({ issuer: 'https://clerk.example.com', clientIds: [] })],
    ['a host in lower case', () => profiles.workosAuthKit({ domain: 'https://a.authkit.app', audience: 'a' })],
    ['`audience` is empty', () => profiles.workosAuthKit({ domain: 'a.authkit.app', audience: [] })],
    [
      'contradicts `clientId`',
      () => profiles.workosAuthKit({ clientId: 'client_1', domain: 'a.authkit.app' } as never)
    ],
    ['it must be the client ID of the environment', () => profiles.workosAuthKit({ clientId: '../x' })],
    ['without a path', () => profiles.logto({ endpoint: 'https://acme.logto.app/oidc', audience: 'a' })],
    [
      'login.salesforce.com serves every org',
      () => profiles.salesforce({ issuer: 'https://login.salesforce.com', audience: 'a' })
    ],
    [
      'it must be a tenant ID',
      () => profiles.fusionAuth({ url: 'https://auth.example.com', tenantId: 'default', applicationIds: 'a' })
    ],
    [
      '`applicationIds` is empty',
      () => profiles.fusionAuth({ url: 'https://auth.example.com', tenantId: GUID, applicationIds: [] })
    ],
    ['without a path', () => profiles.zitadel({ issuer: 'https://acme.zitadel.cloud/', audience: 'a' })],
    ['with its final slash', () => profiles.authentik({ issuer: 'https://a.example/application/o/x', audience: 'a' })],
    ['`audience` holds an empty name', () => profiles.hydra({ issuer: 'https://hydra.example.com/', audience: '' })],
    ['`issuer` is ""', () => profiles.springAuthorizationServer({ issuer: '', audience: 'a' })],
    ['the realm’s issuer', () => profiles.pingAm({ issuer: 'https://am.example.com/am', audience: 'a' })],
    ['sb-… is the client', () => profiles.xsuaa({ url: 'https://a.example', xsappname: 'sb-orders!t1' })],
    ['`xsappname` is ""', () => profiles.xsuaa({ url: 'https://a.example', xsappname: '' })],
    ['the issuer in the tokens', () => profiles.wso2({ issuer: 'https://api.asgardeo.io/t/acme', audience: 'a' })],
    [
      '`audience` is missing',
      () => profiles.curity({ issuer: 'https://id.example.com', audience: undefined as never })
    ],
    ['`subjects` is empty', () => profiles.kubernetes({ audience: 'a', subjects: [] })],
    [
      '`subjects` is missing',
      // @ts-expect-error no subjects
      () => profiles.kubernetes({ audience: 'a' })
    ],
    ['one service account', () => profiles.kubernetes({ audience: 'a', subjects: 'system:serviceaccount:shop:*' })],
    ['one service account', () => profiles.kubernetes({ audience: 'a', subjects: 'shop/web' })],
    ['`audience` is empty', () => profiles.kubernetes({ audience: [], subjects })],
    [
      '`repositories` and `owners` are missing',
      // @ts-expect-error neither owners nor repositories
      () => profiles.githubActions({ audience: 'a' })
    ],
    ['`repositories` is empty', () => profiles.githubActions({ audience: 'a', repositories: [] })],
    ['`owners` is empty', () => profiles.githubActions({ audience: 'a', owners: [], repositories: '74' })],
    ['it must be the ID of a repository', () => profiles.githubActions({ audience: 'a', repositories: 'acme/shop' })],
    ['it must be the ID of a user or organization', () => profiles.githubActions({ audience: 'a', owners: 'acme' })],
    [
      '`repository` is not an option',
      () => profiles.githubActions({ audience: 'a', owners: '65', repository: 'a' } as never)
    ]
  ])('a parameter that is no good is told at start: %s', (problem, profile) => {
    expect(profile).toThrow(TypeError)
    expect(profile).toThrow(problem)
  })
})
