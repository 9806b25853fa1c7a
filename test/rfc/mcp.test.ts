/**
 * Model Context Protocol, authorization (revision 2026-07-28), what it wants of an MCP server, with the preset `mcp()`.
 * The SDK's own client is in test/counterparts/mcp.test.ts.
 */
import { describe, expect, test } from 'vitest'
import { type Access, type ResourceServer, type ResourceServerOptions, resourceServer, scope } from '../../src/index.js'
import { mcp } from '../../src/profiles/mcp.js'
import { createDpopKey, PROOF_TEXTS } from '../support/dpop.js'
import { RESOURCE as API, granted as answered, ask, createBed, denial, introspecting } from '../support/exchange.js'
import {
  accessToken,
  bearer,
  get,
  granted,
  ISSUER,
  issuerKey,
  keySet,
  NOW,
  outcome,
  outcomeOf,
  refusal
} from '../support/refusals.js'
import { silenceWarnings, warningsOf } from '../support/warnings.js'

silenceWarnings()
const bed = createBed()
const RESOURCE = 'https://mcp.example.com/mcp'
const METADATA = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp'
const issuers = [{ issuer: ISSUER, jwks: keySet(issuerKey) }]
const token = (claims: Record<string, unknown> = {}): string => accessToken({ claims: { aud: RESOURCE, ...claims } })

function server(options: Partial<ResourceServerOptions> = {}): ResourceServer {
  return resourceServer(mcp({ resource: RESOURCE, issuers, now: () => NOW, ...options }))
}

/** The one challenge line of an MCP server without DPoP. */
const challenge = (error: string): string[] => [`Bearer ${error}scope="read", resource_metadata="${METADATA}"`]

describe('MCP: discovery', () => {
  test('MCP-01 (Authorization Server Location): the metadata name at least one authorization server', () => {
    expect(server().metadata?.document()).toEqual({
      resource: RESOURCE,
      authorization_servers: [ISSUER],
      bearer_methods_supported: ['header']
    })
    for (const none of [[], () => ISSUER])
      expect(() => server({ issuers: none })).toThrow('`issuers` must be a list of at least one issuer')
  })

  test('MCP-02 (Protected Resource Metadata Discovery): publishes the metadata at the well-known place of the endpoint’s path, and names it in the 401', async () => {
    const api = server()
    const { metadata } = api
    expect(metadata?.respond(get({}, { url: '/.well-known/oauth-protected-resource/mcp' }))).toMatchObject({
      status: 200
    })
    expect(metadata?.respond(get({}, { url: '/.well-known/oauth-protected-resource' }))).toBeUndefined()
    expect((await outcome(api, get())).headers['WWW-Authenticate']).toEqual(challenge(''))
    expect(() => server({ metadata: false })).toThrow('`metadata` is false')
  })

  test('MCP-03 MCP-07 (Scope Selection Strategy): a 401 names the scopes of this request', async () => {
    expect(await outcome(server(), get())).toMatchObject({ status: 401, code: undefined, body: null })
    expect(await outcome(server(), bearer(token({ exp: NOW - 30 })))).toMatchObject({
      status: 401,
      headers: {
        'WWW-Authenticate': challenge('error="invalid_token", error_description="The access token expired", ')
      }
    })
  })

  test('MCP-09 (Canonical Server URI): warns about a final slash or upper case, and compares the identifier exactly', async () => {
    const [warning] = await warningsOf(async () => {
      const api = server({ resource: `${RESOURCE}/` })
      expect((await outcome(api, bearer(token()))).reason).toBe('audience')
      expect(await outcome(api, bearer(token({ aud: `${RESOURCE}/` })))).toEqual(granted)
    })
    expect(warning?.code).toBe('OAUTH_RS_MCP_RESOURCE')
    const upper = 'HTTPS://MCP.Example.com/mcp'
    expect(await warningsOf(() => expect(server({ resource: upper }).resource).toBe(upper))).toHaveLength(1)
    expect(await warningsOf(() => server())).toEqual([])
  })

  test('SCP-09 MCP-03 (Refresh Tokens): names offline_access in no metadata and no challenge', async () => {
    const api = server({
      scopes: ['read', 'offline_access'],
      metadata: { scopes_supported: ['read', 'offline_access'] }
    })
    expect(api.metadata?.document()).toMatchObject({ scopes_supported: ['read'] })
    expect(() => api.protect(scope('offline_access'))).toThrow('is not in the option `scopes`')
  })
})

describe('MCP: tokens', () => {
  test('MCP-06 (Access Token Privilege Restriction): accepts only tokens for this server', async () => {
    expect(await outcome(server(), bearer(token()))).toEqual(granted)
    for (const aud of [API, 'https://mcp.example.com', `${RESOURCE}/`, 'https://mcp.example.com/mcp2'])
      expect(await outcome(server(), bearer(token({ aud })))).toMatchObject({ status: 401, reason: 'audience' })
    expect(() => server({ issuers: [{ issuer: ISSUER, audience: null }] })).toThrow('`issuers[0].audience` is null')
  })

  test('MCP-08 (Token Requirements): does not read a token in the query', async () => {
    expect(await outcome(server(), get({}, { url: `/mcp?access_token=${token()}` }))).toMatchObject({
      status: 401,
      code: undefined
    })
  })

  test('MCP-04 MCP-05 MCP-10 (Scope Challenge Handling): asks for all scopes of a tool once the body is known', async () => {
    const api = server()
    const request = bearer(token())
    const access = (await api.authorize(request)) as Access
    const answer = await outcomeOf(await refusal(() => api.enforce(access, request, scope('read', 'write'))))
    expect(answer).toMatchObject({
      status: 403,
      code: 'insufficient_scope',
      headers: {
        'WWW-Authenticate': [
          `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="read write", resource_metadata="${METADATA}"`
        ]
      }
    })
  })

  test('MCP-12: an access has all of the SDK’s AuthInfo, and a token without a known end is refused', async () => {
    const access = (await server().authorize(bearer(token()))) as Access
    expect(access).toMatchObject({ clientId: 'c1', scopes: ['read'], expiresAt: NOW + 300, audience: [RESOURCE] })
    const as = await bed.issuer()
    const api = bed.api(mcp({ resource: API, issuers: [introspecting(as)], now: bed.clock.now }))
    expect(await ask(api, as.opaque())).toEqual(answered)
    expect(await ask(api, as.opaque({ exp: undefined }))).toEqual(denial.claim)
  })
})

describe('MCP: DPoP extension', () => {
  const client = createDpopKey()
  const bound = token({ cnf: { jkt: client.jkt } })
  const url = 'https://mcp.example.com/mcp'
  const api = server({ dpop: { advertise: true } })
  const answerTo = (proof: string, of = bound): ReturnType<typeof outcome> =>
    outcome(api, get({ authorization: `DPoP ${of}`, dpop: proof }, { url: '/mcp' }))
  const proofRefused = (reason: keyof typeof PROOF_TEXTS): object => ({
    status: 401,
    code: 'invalid_dpop_proof',
    reason,
    body: { error: 'invalid_dpop_proof', error_description: PROOF_TEXTS[reason] }
  })

  test('MCP-11: accepts a proof that is five minutes old', async () => {
    for (const at of [NOW, NOW - 61, NOW - 300])
      expect(await answerTo(client.proof({ token: bound, url, at }))).toEqual(granted)
    for (const at of [NOW - 301, NOW + 301])
      expect(await answerTo(client.proof({ token: bound, url, at }))).toMatchObject(proofRefused('proof_freshness'))
  })

  test('MCP-11: makes the checks of RFC 9449 §4.3, and answers any failure with 401', async () => {
    const proof = client.proof({ token: bound, url })
    expect(await answerTo(proof)).toEqual(granted)
    expect(await answerTo(proof)).toMatchObject(proofRefused('proof_replayed'))
    expect(await answerTo(client.proof({ token: bound, url, method: 'POST' }))).toMatchObject(
      proofRefused('proof_method')
    )
    expect(await answerTo(client.proof({ token: bound, url: `${url}/other` }))).toMatchObject(
      proofRefused('proof_target')
    )
    expect(await answerTo(client.proof({ token: 'another', url }))).toMatchObject(proofRefused('proof_token'))
    expect(await answerTo(createDpopKey().proof({ token: bound, url }))).toMatchObject({
      status: 401,
      reason: 'dpop_binding'
    })
  })

  test('MCP-11 MCP-06: checks the audience of a DPoP token too', async () => {
    const other = token({ cnf: { jkt: client.jkt }, aud: 'x' })
    expect(await answerTo(client.proof({ token: other, url }), other)).toMatchObject({
      status: 401,
      reason: 'audience'
    })
  })
})
