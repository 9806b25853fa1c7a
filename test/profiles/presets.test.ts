/** Presets as functions from options to options: what they set, what they keep, what they do not take, what they warn of. */
import { describe, expect, test } from 'vitest'
import {
  clientSecretBasic,
  type IssuerOptions,
  type ResourceServerOptions,
  resourceServer,
  scope
} from '../../src/index.js'
import { fapi2 } from '../../src/profiles/fapi2.js'
import { cognito } from '../../src/profiles/index.js'
import { mcp } from '../../src/profiles/mcp.js'
import { ask, createBed, denial, granted, introspecting } from '../support/exchange.js'
import {
  accessToken,
  granted as allowed,
  bearer,
  get,
  ISSUER,
  issuerKey,
  keySet,
  NOW,
  outcome,
  RESOURCE
} from '../support/refusals.js'
import { silenceWarnings, warningsOf } from '../support/warnings.js'

silenceWarnings()
const bed = createBed()
const ALGORITHMS = ['PS256', 'ES256', 'EdDSA', 'Ed25519']
const introspection = { clientId: 'api', auth: clientSecretBasic('secret') }
const issuer: IssuerOptions = { issuer: ISSUER, introspection }
const options = { resource: RESOURCE, issuers: [issuer] } satisfies ResourceServerOptions

describe('fapi2(options)', () => {
  test('ASQ-18 FAP-04 FAP-05: sets all its options explicitly, and keeps the others', () => {
    const given = { ...options, realm: 'a', clockTolerance: 60, scopes: ['read'] } as const
    const copy = structuredClone({ ...given, issuers: [] })
    expect(fapi2(given)).toEqual({
      ...given,
      issuers: [{ ...issuer, algorithms: ALGORITHMS }],
      dpop: { advertise: true, algorithms: ALGORITHMS, proofLifetime: 60 },
      rejectQueryToken: true,
      requireSenderConstrained: true
    })
    expect({ ...given, issuers: [] }).toEqual(copy)
    expect(issuer).not.toHaveProperty('algorithms')
  })

  test('FAP-05: turns an issuer that is a string into an object, and accepts a narrower list', () => {
    const { issuers, dpop } = fapi2({
      resource: RESOURCE,
      issuers: [ISSUER, { ...issuer, algorithms: ['PS256'] }],
      dpop: { advertise: true, algorithms: ['ES256'], proofLifetime: 30, nonces: 'required' }
    })
    expect(issuers).toEqual([
      { issuer: ISSUER, algorithms: ALGORITHMS },
      { ...issuer, algorithms: ['PS256'] }
    ])
    expect(dpop).toEqual({ advertise: true, algorithms: ['ES256'], proofLifetime: 30, nonces: 'required' })
  })

  test.each<readonly [title: string, given: Partial<ResourceServerOptions>, set: Partial<ResourceServerOptions>]>([
    ['nothing: any key will do', {}, { requireSenderConstrained: true }],
    [
      'DPoP',
      { requireSenderConstrained: 'dpop' },
      { requireSenderConstrained: 'dpop', dpop: { algorithms: ALGORITHMS as never, proofLifetime: 60 } }
    ],
    [
      'certificates: no DPoP then',
      { requireSenderConstrained: 'certificate' },
      { requireSenderConstrained: 'certificate', dpop: false }
    ],
    [
      'certificates, and no DPoP',
      { requireSenderConstrained: 'certificate', dpop: false },
      { requireSenderConstrained: 'certificate', dpop: false }
    ],
    [
      'certificates, and DPoP too',
      { requireSenderConstrained: 'certificate', dpop: { advertise: true } },
      {
        requireSenderConstrained: 'certificate',
        dpop: { advertise: true, algorithms: ALGORITHMS as never, proofLifetime: 60 }
      }
    ],
    [
      'DPoP, and not just any key',
      { requireSenderConstrained: 'dpop' },
      {
        requireSenderConstrained: 'dpop',
        dpop: { advertise: true, algorithms: ALGORITHMS as never, proofLifetime: 60 }
      }
    ]
  ])('FAP-04: sets the binding of tokens if the options say %s', (_title, given, set) => {
    const result = fapi2({ ...options, ...given })
    expect(result).toMatchObject(set)
    expect(result.requireSenderConstrained).toBe(set.requireSenderConstrained)
    expect(resourceServer(result)).toBeDefined()
  })

  test.each<readonly [problem: string, given: Partial<ResourceServerOptions>]>([
    [
      '`issuers[0].algorithms` holds RS256, ES384: §5.4.1 allows PS256, ES256, EdDSA, Ed25519',
      { issuers: [{ ...issuer, algorithms: ['RS256', 'ES256', 'ES384'] }] }
    ],
    ['`dpop.algorithms` holds RS256', { dpop: { advertise: true, algorithms: ['RS256'] } }],
    ['`dpop.proofLifetime` is 61: at most 60 seconds', { dpop: { advertise: true, proofLifetime: 61 } }],
    ['`dpop` is false: then tokens must be bound to a certificate', { dpop: false }],
    ['`requireSenderConstrained` is false: tokens must be bound to a key', { requireSenderConstrained: false }],
    ['`rejectQueryToken` is false: a token in the query is refused', { rejectQueryToken: false }],
    [
      '`http.insecureHosts` is set: connections to other servers use TLS',
      { http: { insecureHosts: ['keycloak:8080'] } }
    ],
    ['`clockTolerance` is 61: at most 60 seconds', { clockTolerance: 61 }],
    ['`dpop` is an array', { dpop: [] as never }],
    ['`issuers[0]` is null', { issuers: [null as never] }]
  ])('FAP-04 FAP-05: refuses at start what contradicts the profile: %s', (problem, given) => {
    expect(() => fapi2({ ...options, ...given })).toThrow(TypeError)
    expect(() => fapi2({ ...options, ...given })).toThrow(problem)
  })

  test('FAP-04: reports all contradictions together', () => {
    const given = { ...options, dpop: false, rejectQueryToken: false, clockTolerance: 300 } as const
    expect(() => fapi2(given)).toThrow(/^fapi2\(\) found 3 problems in its options:\n/)
    expect(() => fapi2(undefined as never)).toThrow('`options` is missing')
  })

  test('leaves other mistakes to resourceServer()', () => {
    expect(() => resourceServer(fapi2({ ...options, issuers: 7 as never }))).toThrow('`issuers` must be a list')
    expect(() => resourceServer(fapi2({ ...options, issuers: [{ ...issuer, algorithms: 'ES256' as never }] }))).toThrow(
      '`issuers[0].algorithms` is "ES256"'
    )
    expect(() => resourceServer(fapi2({ ...options, clockTolerance: 'x' as never }))).toThrow('`clockTolerance` is "x"')
  })

  test('FAP-05: applies the rules to a resolver’s answers, synchronously if it answers synchronously', async () => {
    const { issuers } = fapi2({ resource: RESOURCE, issuers: (iss) => (iss === undefined ? null : iss) })
    if (typeof issuers !== 'function') throw new Error('it is no resolver')
    expect(issuers(ISSUER)).toEqual({ issuer: ISSUER, algorithms: ALGORITHMS })
    expect(issuers(undefined)).toBeNull()
    const later = fapi2({ resource: RESOURCE, issuers: async () => issuer }).issuers
    if (typeof later !== 'function') throw new Error('it is no resolver')
    expect(await later(ISSUER)).toEqual({ ...issuer, algorithms: ALGORITHMS })
    expect(await fapi2Of(async () => undefined)(ISSUER)).toBeUndefined()
  })

  test('FAP-05: a resolver’s answer that contradicts the profile is a misconfiguration, at the request that meets it', async () => {
    for (const issuers of [
      () => ({ issuer: ISSUER, algorithms: ['RS256'] }) as const,
      async () => ({ issuer: ISSUER, algorithms: ['RS256'] }) as const
    ]) {
      const api = resourceServer(fapi2({ resource: RESOURCE, issuers, now: () => NOW }))
      expect(await outcome(api, bearer(accessToken()))).toMatchObject({ status: 500, code: 'server_error' })
    }
  })

  test('FAP-02: warns about an issuer without introspection, once for each', async () => {
    const seen = await warningsOf(() =>
      fapi2({ resource: RESOURCE, issuers: [issuer, 'https://a.example', { issuer: 'https://b.example' }] })
    )
    expect(seen).toEqual(
      ['https://a.example', 'https://b.example'].map((name) => ({
        code: 'OAUTH_RS_FAPI_REVOCATION',
        message: `fapi2(): the issuer ${name} has neither \`introspection\` nor \`statusList\`, so a revoked token is accepted until it expires`
      }))
    )
  })

  test('FAP-02: does not warn about an issuer with a status list', async () => {
    const withLists = (statusList: boolean): unknown =>
      fapi2({ resource: RESOURCE, issuers: [{ issuer: 'https://a.example', statusList }] })
    expect(await warningsOf(() => withLists(true))).toEqual([])
    expect(await warningsOf(() => withLists(false))).toHaveLength(1)
  })

  test('FAP-02: warns about a resolver’s issuers too, once for each, up to a limit', async () => {
    const resolve = fapi2Of((name) => name)
    expect(await warningsOf(() => [resolve(ISSUER), resolve(ISSUER)])).toHaveLength(1)
    const many = await warningsOf(() => {
      for (let i = 0; i < 200; i++) void resolve(`https://${i}.example`)
    })
    expect(many).toHaveLength(19)
    expect(await warningsOf(() => fapi2Of(() => issuer)(ISSUER))).toEqual([])
  })

  test('keeps the type of the scopes', () => {
    const api = resourceServer(fapi2({ ...options, scopes: ['read'] }))
    // @ts-expect-error: it is not among `scopes`
    expect(() => api.protect(scope('wirte'))).toThrow('is not in the option `scopes`')
    expect(api.protect(scope('read'))).toBeDefined()
  })
})

function fapi2Of(issuers: Extract<ResourceServerOptions['issuers'], (...args: never) => unknown>): typeof issuers {
  const result = fapi2({ resource: RESOURCE, issuers })
  return result.issuers as typeof issuers
}

describe('mcp(options)', () => {
  const mcpOptions = { ...options, resource: 'https://mcp.example.com/mcp' }

  test('ASQ-18: sets its options explicitly, and keeps the others', () => {
    const check = (): void => undefined
    const given = { ...mcpOptions, scopes: ['read'], checks: [check], realm: 'a' } as const
    expect(mcp(given)).toEqual({ ...given, checks: [expect.any(Function), check] })
    expect(mcp(mcpOptions)).toEqual({ ...mcpOptions, checks: [expect.any(Function)] })
  })

  test.each<readonly [problem: string, given: Partial<ResourceServerOptions>]>([
    ['MCP-01: `issuers` must be a list of at least one issuer', { issuers: [] }],
    ['MCP-01: `issuers` must be a list of at least one issuer', { issuers: () => ISSUER }],
    ['MCP-01: `issuers` must be a list of at least one issuer', { issuers: undefined as never }],
    ['MCP-01: `metadata.authorization_servers` is empty', { metadata: { authorization_servers: [] } }],
    ['MCP-02: `metadata` is false', { metadata: false }],
    ['MCP-06: `issuers[0].audience` is null', { issuers: [{ ...issuer, audience: null }] }],
    [
      'MCP-06: `issuers[1].introspection.allowMissingAudience` is true',
      { issuers: [ISSUER, { ...issuer, introspection: { ...introspection, allowMissingAudience: true } }] }
    ]
  ])('%s: is refused at start', (problem, given) => {
    const because = problem.slice('MCP-00: '.length)
    expect(() => mcp({ ...mcpOptions, ...given })).toThrow(TypeError)
    expect(() => mcp({ ...mcpOptions, ...given })).toThrow(because)
  })

  test('MCP-01 MCP-02: reports all contradictions together', () => {
    expect(() => mcp({ ...mcpOptions, issuers: [], metadata: false })).toThrow(/^mcp\(\) found 2 problems/)
    expect(() => mcp(null as never)).toThrow('`options` is null')
    expect(() => resourceServer(mcp({ ...mcpOptions, issuers: [null as never] }))).toThrow('`issuers[0]` is null')
    expect(() => resourceServer(mcp({ ...mcpOptions, resource: 7 as never }))).toThrow('`resource` is 7')
  })

  test.each([
    ['HTTPS://mcp.example.com/mcp', 'has upper case in its scheme or host'],
    ['https://MCP.Example.com/mcp', 'has upper case in its scheme or host'],
    ['https://mcp.example.com/mcp/', 'ends with /'],
    ['https://mcp.example.com/', 'ends with /']
  ])('MCP-09: keeps the resource %s, and warns: it %s', async (resource, oddity) => {
    const seen = await warningsOf(() => {
      expect(mcp({ ...options, resource }).resource).toBe(resource)
    })
    expect(seen).toEqual([
      {
        code: 'OAUTH_RS_MCP_RESOURCE',
        message: `mcp(): \`resource\` ${oddity}, unlike the canonical URI of an MCP server: write it without`
      }
    ])
  })

  test.each(['https://mcp.example.com', 'https://mcp.example.com/Server/MCP', 'https://mcp.example.com:8443/a'])(
    'MCP-09: the resource %s is canonical and causes no warning',
    async (resource) => {
      expect(await warningsOf(() => mcp({ ...options, resource }))).toEqual([])
    }
  )

  test('SCP-09: removes offline_access from the scopes and the metadata, with a warning for each', async () => {
    let result: ResourceServerOptions | undefined
    const seen = await warningsOf(() => {
      result = mcp({
        ...mcpOptions,
        scopes: ['read', 'offline_access'],
        metadata: { resource_name: 'Files', scopes_supported: ['offline_access', 'read'] }
      })
    })
    expect(result).toMatchObject({ scopes: ['read'], metadata: { resource_name: 'Files', scopes_supported: ['read'] } })
    expect(seen.map(({ code }) => code)).toEqual(['OAUTH_RS_MCP_SCOPE', 'OAUTH_RS_MCP_SCOPE'])
    expect(seen[0]?.message).toBe(
      'mcp(): `offline_access` was removed from `scopes`: a resource server must not request it'
    )
    expect(() =>
      resourceServer(mcp({ ...mcpOptions, scopes: ['offline_access'] })).protect(scope('offline_access'))
    ).toThrow('is not in the option `scopes`')
  })

  test('MCP-11: accepts a proof of 300 s if DPoP is configured without another limit', () => {
    expect(mcp({ ...mcpOptions, dpop: { advertise: true } }).dpop).toEqual({ advertise: true, proofLifetime: 300 })
    expect(mcp({ ...mcpOptions, requireSenderConstrained: 'dpop', dpop: { proofLifetime: 60 } }).dpop).toEqual({
      proofLifetime: 60
    })
    expect(mcp({ ...mcpOptions, dpop: false }).dpop).toBe(false)
    expect(mcp(mcpOptions)).not.toHaveProperty('dpop')
  })

  test('MCP-12: refuses a token without a known end before the API’s own checks', async () => {
    const as = await bed.issuer()
    const api = bed.api(mcp({ resource: RESOURCE, issuers: [introspecting(as)], now: bed.clock.now }))
    expect(await ask(api, as.opaque())).toEqual(granted)
    expect(await ask(api, as.opaque({ exp: undefined }))).toEqual(denial.claim)
    const plain = bed.api({ issuers: [introspecting(as)] })
    expect(await ask(plain, as.opaque({ exp: undefined }))).toEqual(granted)
  })

  test('keeps the type of the scopes', () => {
    const api = resourceServer(mcp({ ...mcpOptions, scopes: ['read'] }))
    // @ts-expect-error: it is not among `scopes`
    expect(() => api.protect(scope('wirte'))).toThrow('is not in the option `scopes`')
  })
})

describe('presets and the settings in effect', () => {
  test('ASQ-18: describe() shows the effect of fapi2, with a profile in it', () => {
    const profile = cognito({ region: 'eu-central-1', userPoolId: 'eu-central-1_A', clientIds: 'c1' })
    const api = resourceServer(fapi2({ resource: RESOURCE, issuers: [{ ...profile, algorithms: ['PS256'] }] }))
    expect(api.describe()).toMatchObject({
      requireBound: 'any',
      rejectQueryToken: true,
      schemes: { accepted: ['Bearer', 'DPoP'], advertised: ['Bearer', 'DPoP'] },
      dpop: { algorithms: ALGORITHMS, proofLifetime: 60 },
      issuers: [
        {
          issuer: profile.issuer,
          algorithms: ['PS256'],
          tokenProfile: 'legacy',
          requiredClaimValues: { token_use: ['access'] },
          audienceClaim: 'client_id',
          audience: ['c1']
        }
      ]
    })
  })

  test('ASQ-18: describe() shows the effect of mcp', () => {
    const api = resourceServer(mcp({ ...options, dpop: { advertise: true }, scopes: ['read'] }))
    expect(api.describe()).toMatchObject({ checks: 1, scopes: ['read'], dpop: { proofLifetime: 300 } })
  })

  test('two presets can be combined', async () => {
    const both = mcp(
      fapi2({
        resource: RESOURCE,
        issuers: [{ issuer: ISSUER, jwks: keySet(issuerKey) }],
        now: () => NOW,
        requireSenderConstrained: 'dpop'
      })
    )
    expect(both.dpop).toEqual({ advertise: true, algorithms: ALGORITHMS, proofLifetime: 60 })
    expect(await outcome(resourceServer(both), get())).toMatchObject({ status: 401 })
    expect(
      await outcome(
        resourceServer(mcp({ ...options, now: () => NOW, issuers: [{ issuer: ISSUER, jwks: keySet(issuerKey) }] })),
        bearer(accessToken())
      )
    ).toEqual(allowed)
  })
})
