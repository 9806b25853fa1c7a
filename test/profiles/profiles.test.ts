/**
 * Vendor profiles: what each vendor documents of its tokens is accepted, and read right, and what comes near is refused.
 * Metadata, keys and `tokeninfo` are fetched at the vendors' own URLs, behind which an issuer on this machine stands.
 */
import { describe, expect, test } from 'vitest'
import { clientSecretBasic, type IssuerOptions, scope } from '../../src/index.js'
import { auth0, cognito, duende, entra, google, keycloak, okta, telnyx } from '../../src/profiles/index.js'
import { createDpopKey } from '../support/dpop.js'
import {
  type Answered,
  ask,
  authorize,
  createBed,
  denial,
  granted,
  introspecting,
  RESOURCE,
  redirectingAgent,
  refusal,
  request
} from '../support/exchange.js'
import { type Behaviour, createSigningKey, fault, type Signer, signJws, type TestIssuer } from '../support/issuer.js'

type JsonObject = Record<string, unknown>

const bed = createBed()
const NOW = 1_750_000_000
const key = createSigningKey('RS256')
const strange = createSigningKey('RS256')
/** As vendors publish it: Entra and others leave out `alg`. */
const { alg: _, ...withoutAlg } = key.publicJwk
const jwks = { keys: [withoutAlg] }

const TENANT = '72f988bf-86f1-41af-91ab-2d7cd011db47'
const SECOND_TENANT = '0b9f9a3e-4c1c-4f0a-9d0e-4b5a0d7c1f22'
const STRANGE_TENANT = '9188040d-6c67-4c5b-b112-36a304b66dad'
const API_ID = '6e74172b-be56-4843-9ff4-e66a39bb12e3'
const SPA_ID = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'
const entraIssuer = (tid: string): string => `https://login.microsoftonline.com/${tid}/v2.0`

/** Answers each path with its document, and anything else with 404. */
function documents(byPath: Readonly<Record<string, unknown>>): Behaviour {
  return (exchange) => {
    const document = byPath[exchange.request.path]
    return (document === undefined ? fault.status(404) : fault.body(document))(exchange)
  }
}

/** Answers at each origin with the documents; the paths that were asked for are in `requests`. */
async function serve(origins: readonly string[], behaviour: Behaviour): Promise<Served> {
  const server = await bed.issuer()
  for (const endpoint of ['metadata', 'jwks', 'introspection', 'other'] as const) server.always(endpoint, behaviour)
  const agent = redirectingAgent(Object.fromEntries(origins.map((origin) => [origin, server.origin])))
  return { server, http: { dispatcher: bed.closing(agent) } }
}

interface Served {
  readonly server: TestIssuer
  readonly http: { readonly dispatcher: ReturnType<typeof redirectingAgent> }
}

const paths = ({ server }: Served): string[] => server.requests.map(({ path }) => path)

/** The answer of a route that requires this scope instead of `read`. */
function requiring(answer: Answered, name: string): Answered {
  return { ...answer, challenge: answer.challenge?.replace('scope="read"', `scope="${name}"`) ?? null }
}

interface Flaw {
  readonly header?: JsonObject
  readonly claims?: JsonObject
  readonly key?: Signer
}

interface Vendor {
  readonly name: string
  readonly profile: IssuerOptions | readonly IssuerOptions[]
  /** The same issuer and audience without a profile, and what then becomes of the token. */
  readonly plain: IssuerOptions
  readonly without: Answered
  readonly documents: Readonly<Record<string, unknown>>
  /** What is fetched, in this order. */
  readonly fetched: readonly string[]
  readonly header: JsonObject
  /** An access token as the vendor documents it. */
  readonly claims: JsonObject
  readonly scope: string
  readonly access: JsonObject
  /** Documented variants, which are good too. */
  readonly variants: readonly (readonly [title: string, variant: Flaw])[]
  readonly refused: readonly (readonly [title: string, flaw: Flaw, answer: Answered])[]
}

const times = { iat: NOW - 10, exp: NOW + 3600 }
const without = (...names: readonly string[]): JsonObject => Object.fromEntries(names.map((name) => [name, undefined]))

const VENDORS: readonly Vendor[] = [
  {
    name: 'ASQ-08: Auth0',
    profile: auth0({ domain: 'tenant.eu.auth0.com', audience: RESOURCE }),
    plain: { issuer: 'https://tenant.eu.auth0.com/', audience: RESOURCE },
    without: denial.type,
    documents: {
      '/.well-known/openid-configuration': {
        issuer: 'https://tenant.eu.auth0.com/',
        jwks_uri: 'https://tenant.eu.auth0.com/.well-known/jwks.json'
      },
      '/.well-known/jwks.json': jwks
    },
    fetched: ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration', '/.well-known/jwks.json'],
    header: { alg: 'RS256', typ: 'JWT', kid: 'k1' },
    claims: {
      iss: 'https://tenant.eu.auth0.com/',
      sub: 'auth0|5f7c8ec7c33c6c004bbafe82',
      aud: [RESOURCE, 'https://tenant.eu.auth0.com/userinfo'],
      ...times,
      azp: 'my_client_id',
      scope: 'openid profile read',
      permissions: ['read', 'delete:everything']
    },
    scope: 'read',
    access: {
      issuer: 'https://tenant.eu.auth0.com/',
      subject: 'auth0|5f7c8ec7c33c6c004bbafe82',
      clientId: 'my_client_id',
      scopes: ['openid', 'profile', 'read'],
      expiresAt: NOW + 3600
    },
    variants: [
      [
        'with the token profile RFC 9068',
        { header: { typ: 'at+jwt' }, claims: { azp: undefined, client_id: 'a', jti: 'b' } }
      ],
      ['of a machine', { claims: { sub: 'my_client_id@clients', aud: RESOURCE, gty: 'client-credentials' } }]
    ],
    refused: [
      ['an ID token', { claims: { aud: 'my_client_id', ...without('azp', 'scope', 'permissions') } }, denial.claim],
      ['an ID token that names its client', { claims: { aud: 'my_client_id' } }, denial.audience],
      [
        'an ID token, even for an application of the API’s name',
        { claims: { aud: RESOURCE, azp: undefined } },
        denial.claim
      ],
      ['an ID token with a nonce', { claims: { nonce: 'n', ...without('scope', 'permissions') } }, denial.type],
      ['an ID token whose client is the API', { claims: { azp: RESOURCE, ...without('scope') } }, denial.type],
      ['a token for userinfo alone', { claims: { aud: 'https://tenant.eu.auth0.com/userinfo' } }, denial.audience],
      ['an issuer without the slash', { claims: { iss: 'https://tenant.eu.auth0.com' } }, denial.issuer],
      ['another tenant', { claims: { iss: 'https://other.eu.auth0.com/' } }, denial.issuer],
      ['another key', { key: strange }, denial.signature],
      ['permissions instead of scopes, which nobody opted for', { claims: { scope: 'openid' } }, denial.scope]
    ]
  },
  {
    name: 'ASQ-08: Auth0 with permissions',
    profile: auth0({ domain: 'login.example.com', audience: ['urn:other', RESOURCE], permissions: true }),
    plain: { issuer: 'https://login.example.com/', audience: RESOURCE, tokenProfile: 'legacy' },
    without: denial.scope,
    documents: {
      '/.well-known/oauth-authorization-server': {
        issuer: 'https://login.example.com/',
        jwks_uri: 'https://login.example.com/.well-known/jwks.json'
      },
      '/.well-known/jwks.json': jwks
    },
    fetched: ['/.well-known/oauth-authorization-server', '/.well-known/jwks.json'],
    header: { alg: 'RS256', typ: 'JWT', kid: 'k1' },
    claims: {
      iss: 'https://login.example.com/',
      sub: 'auth0|1',
      aud: RESOURCE,
      ...times,
      azp: 'my_client_id',
      permissions: ['read', 'write'],
      scope: 'openid'
    },
    scope: 'read',
    access: { scopes: ['read', 'write'], clientId: 'my_client_id' },
    variants: [['without RBAC', { claims: { permissions: undefined, scope: 'openid read' } }]],
    refused: [
      ['no permission, whatever the scopes', { claims: { permissions: [], scope: 'read' } }, denial.scope],
      ['permissions that are no list', { claims: { permissions: { read: true } } }, denial.claim]
    ]
  },
  {
    name: 'ASQ-02 ASQ-03: Entra ID, version 2 tokens',
    profile: entra({ tenantIds: [TENANT, SECOND_TENANT], audience: [API_ID, `api://${API_ID}`] }),
    plain: { issuer: entraIssuer(TENANT), audience: API_ID },
    without: denial.type,
    documents: {
      [`/${TENANT}/v2.0/.well-known/openid-configuration`]: {
        issuer: entraIssuer(TENANT),
        jwks_uri: `https://login.microsoftonline.com/${TENANT}/discovery/v2.0/keys`
      },
      [`/${TENANT}/discovery/v2.0/keys`]: { keys: [{ ...withoutAlg, x5t: 'k1', issuer: entraIssuer(TENANT) }] },
      [`/${SECOND_TENANT}/v2.0/.well-known/openid-configuration`]: {
        issuer: entraIssuer(SECOND_TENANT),
        jwks_uri: `https://login.microsoftonline.com/${SECOND_TENANT}/discovery/v2.0/keys`
      },
      [`/${SECOND_TENANT}/discovery/v2.0/keys`]: jwks
    },
    fetched: [`/${TENANT}/v2.0/.well-known/openid-configuration`, `/${TENANT}/discovery/v2.0/keys`],
    header: { typ: 'JWT', alg: 'RS256', kid: 'k1' },
    claims: {
      aud: API_ID,
      iss: entraIssuer(TENANT),
      nbf: NOW - 10,
      ...times,
      aio: 'AXQAi/8TAAAA',
      azp: SPA_ID,
      azpacr: '0',
      name: 'Ada',
      oid: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
      preferred_username: 'ada@example.com',
      rh: 'I',
      scp: 'read access_as_user',
      sub: 'HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ',
      tid: TENANT,
      uti: 'fqiBqXLPj0eQa82S-IYFAA',
      ver: '2.0'
    },
    scope: 'read',
    access: {
      issuer: entraIssuer(TENANT),
      clientId: SPA_ID,
      subject: 'HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ',
      scopes: ['read', 'access_as_user']
    },
    variants: [
      ['of the second tenant', { claims: { iss: entraIssuer(SECOND_TENANT), tid: SECOND_TENANT } }],
      [
        'of version 1 (ASQ-01)',
        {
          claims: {
            aud: `api://${API_ID}`,
            iss: `https://sts.windows.net/${TENANT}/`,
            ...without('azp', 'azpacr', 'preferred_username'),
            appid: SPA_ID,
            appidacr: '0',
            ver: '1.0'
          }
        }
      ]
    ],
    refused: [
      ['an ID token', { claims: { aud: SPA_ID, ...without('azp', 'azpacr', 'scp') } }, denial.claim],
      ['an ID token of an application that is also the API', { claims: without('azp', 'azpacr', 'scp') }, denial.type],
      ['an ID token with a nonce', { claims: { nonce: 'n', ...without('azp', 'azpacr', 'scp') } }, denial.type],
      [
        'a tenant that is not listed',
        { claims: { iss: entraIssuer(STRANGE_TENANT), tid: STRANGE_TENANT } },
        denial.issuer
      ],
      ['a tid that is not the issuer’s', { claims: { tid: STRANGE_TENANT } }, denial.type],
      ['no tid', { claims: { tid: undefined } }, denial.type],
      ['the other tenant’s tid', { claims: { tid: SECOND_TENANT } }, denial.type],
      ['a token for Microsoft Graph', { claims: { aud: '00000003-0000-0000-c000-000000000000' } }, denial.audience],
      [
        'an app-only token with roles, which are no scopes',
        { claims: { scp: undefined, roles: ['read'] } },
        denial.scope
      ],
      ['a key of nobody', { key: strange }, denial.signature]
    ]
  },
  {
    name: 'ASQ-01: Entra ID, version 1 tokens',
    profile: entra({ tenantIds: TENANT, audience: `api://${API_ID}` }),
    plain: { issuer: entraIssuer(TENANT), audience: `api://${API_ID}`, tokenProfile: 'legacy' },
    without: denial.issuer,
    documents: {
      [`/${TENANT}/v2.0/.well-known/openid-configuration`]: {
        issuer: entraIssuer(TENANT),
        jwks_uri: `https://login.microsoftonline.com/${TENANT}/discovery/v2.0/keys`
      },
      [`/${TENANT}/discovery/v2.0/keys`]: jwks
    },
    fetched: [`/${TENANT}/v2.0/.well-known/openid-configuration`, `/${TENANT}/discovery/v2.0/keys`],
    header: { typ: 'JWT', alg: 'RS256', kid: 'k1', x5t: 'k1' },
    claims: {
      aud: `api://${API_ID}`,
      iss: `https://sts.windows.net/${TENANT}/`,
      nbf: NOW - 10,
      ...times,
      acr: '1',
      amr: ['pwd'],
      appid: SPA_ID,
      appidacr: '0',
      oid: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
      scp: 'read',
      sub: 'l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA',
      tid: TENANT,
      unique_name: 'ada@example.com',
      uti: 'FVsGxYXI30-TuikuuUoFAA',
      ver: '1.0'
    },
    scope: 'read',
    access: { issuer: `https://sts.windows.net/${TENANT}/`, clientId: SPA_ID, scopes: ['read'] },
    variants: [],
    refused: [
      ['no final slash', { claims: { iss: `https://sts.windows.net/${TENANT}` } }, denial.issuer],
      ['another tenant', { claims: { iss: `https://sts.windows.net/${SECOND_TENANT}/` } }, denial.issuer]
    ]
  },
  {
    name: 'ASQ-10: Keycloak',
    profile: keycloak({ issuer: 'https://sso.example.com/realms/acme', audience: 'orders-api' }),
    plain: { issuer: 'https://sso.example.com/realms/acme', audience: 'orders-api' },
    without: denial.type,
    documents: {
      '/realms/acme/.well-known/openid-configuration': {
        issuer: 'https://sso.example.com/realms/acme',
        jwks_uri: 'https://sso.example.com/realms/acme/protocol/openid-connect/certs'
      },
      '/realms/acme/protocol/openid-connect/certs': {
        keys: [
          key.publicJwk,
          // Keycloak publishes its encryption key in the same set.
          { ...createSigningKey('RS256', { kid: 'enc' }).publicJwk, use: 'enc', alg: 'RSA-OAEP' }
        ]
      }
    },
    fetched: [
      '/.well-known/oauth-authorization-server/realms/acme',
      '/.well-known/openid-configuration/realms/acme',
      '/realms/acme/.well-known/openid-configuration',
      '/realms/acme/protocol/openid-connect/certs'
    ],
    header: { alg: 'RS256', typ: 'JWT', kid: 'k1' },
    claims: {
      ...times,
      jti: 'onrtac:d58f5dc8-fd8f-462b-8a19-716f8f83985b',
      iss: 'https://sso.example.com/realms/acme',
      aud: ['orders-api', 'account'],
      sub: '36fa0f91-f94d-4a0c-afed-6b7d952e47da',
      typ: 'Bearer',
      azp: 'web',
      sid: '2a88c258-f73a-4103-b862-e1fbd8f4e04e',
      acr: '1',
      'allowed-origins': ['https://web.example.com'],
      realm_access: { roles: ['offline_access', 'read'] },
      resource_access: { account: { roles: ['manage-account'] } },
      scope: 'openid email read',
      preferred_username: 'ada'
    },
    scope: 'read',
    access: {
      clientId: 'web',
      subject: '36fa0f91-f94d-4a0c-afed-6b7d952e47da',
      scopes: ['openid', 'email', 'read'],
      audience: ['orders-api', 'account']
    },
    variants: [
      ['of a client with the switch for at+jwt', { header: { typ: 'at+jwt' } }],
      ['of a service account', { claims: { azp: 'worker', client_id: 'worker' } }]
    ],
    refused: [
      ['an ID token', { claims: { typ: 'ID', aud: 'web' } }, denial.type],
      ['an ID token for an application of the API’s name', { claims: { typ: 'ID' } }, denial.type],
      ['a refresh token', { claims: { typ: 'Refresh', aud: 'https://sso.example.com/realms/acme' } }, denial.type],
      ['an offline token', { claims: { typ: 'Offline' } }, denial.type],
      ['a logout token', { claims: { typ: 'Logout' } }, denial.type],
      ['a token of a kind yet to come', { claims: { typ: 'Serialized-ID' } }, denial.type],
      ['no kind', { claims: { typ: undefined } }, denial.type],
      ['a token without an audience mapper', { claims: { aud: 'account' } }, denial.audience],
      ['no audience at all', { claims: { aud: undefined } }, denial.audience],
      ['another realm', { claims: { iss: 'https://sso.example.com/realms/other' } }, denial.issuer],
      ['realm roles, which are no scopes', { claims: { scope: 'openid' } }, denial.scope],
      ['a lightweight token without sub', { claims: { sub: undefined } }, denial.claim]
    ]
  },
  {
    name: 'ASQ-05: Cognito',
    profile: cognito({
      region: 'eu-central-1',
      userPoolId: 'eu-central-1_Example',
      clientIds: ['2example', '1example']
    }),
    plain: {
      issuer: 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example',
      audience: '1example',
      metadataUrl:
        'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example/.well-known/openid-configuration'
    },
    without: denial.type,
    documents: {
      '/eu-central-1_Example/.well-known/openid-configuration': {
        issuer: 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example',
        jwks_uri: 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example/.well-known/jwks.json'
      },
      '/eu-central-1_Example/.well-known/jwks.json': jwks
    },
    fetched: ['/eu-central-1_Example/.well-known/openid-configuration', '/eu-central-1_Example/.well-known/jwks.json'],
    header: { kid: 'k1', alg: 'RS256' },
    claims: {
      sub: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      'cognito:groups': ['admins'],
      iss: 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example',
      version: 2,
      client_id: '1example',
      origin_jti: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeef',
      event_id: '64f513be-32db-42b0-b78e-b02127b4f463',
      token_use: 'access',
      scope: 'aws.cognito.signin.user.admin orders/read',
      auth_time: NOW - 20,
      ...times,
      jti: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeee00',
      username: 'ada'
    },
    scope: 'orders/read',
    access: {
      clientId: '1example',
      subject: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      scopes: ['aws.cognito.signin.user.admin', 'orders/read']
    },
    variants: [
      ['of another app client that is listed', { claims: { client_id: '2example' } }],
      ['of a machine', { claims: { sub: '1example', ...without('username', 'cognito:groups') } }]
    ],
    refused: [
      [
        'an ID token',
        { claims: { token_use: 'id', aud: '1example', at_hash: 'h', ...without('client_id', 'scope') } },
        denial.type
      ],
      ['an ID token, if only its token_use said so', { claims: { token_use: 'id' } }, denial.type],
      ['no token_use', { claims: { token_use: undefined } }, denial.type],
      ['another app client', { claims: { client_id: '3example' } }, denial.audience],
      [
        'another app client, whatever aud says',
        { claims: { client_id: '3example', aud: '1example' } },
        denial.audience
      ],
      ['no client', { claims: { client_id: undefined } }, denial.claim],
      [
        'another user pool',
        { claims: { iss: 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Other' } },
        denial.issuer
      ]
    ]
  },
  {
    name: 'ASQ-06: Okta',
    profile: okta({ issuer: 'https://acme.okta.com/oauth2/default', audience: 'api://default' }),
    plain: {
      issuer: 'https://acme.okta.com/oauth2/default',
      audience: 'api://default',
      metadataUrl: 'https://acme.okta.com/oauth2/default/.well-known/oauth-authorization-server'
    },
    without: denial.type,
    documents: {
      '/oauth2/default/.well-known/oauth-authorization-server': {
        issuer: 'https://acme.okta.com/oauth2/default',
        jwks_uri: 'https://acme.okta.com/oauth2/default/v1/keys'
      },
      '/oauth2/default/v1/keys': { keys: [key.publicJwk] }
    },
    fetched: ['/oauth2/default/.well-known/oauth-authorization-server', '/oauth2/default/v1/keys'],
    header: { kid: 'k1', alg: 'RS256' },
    claims: {
      ver: 1,
      jti: 'AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE',
      iss: 'https://acme.okta.com/oauth2/default',
      aud: 'api://default',
      sub: 'ada@example.com',
      ...times,
      cid: '0oa8o1234567890abcde',
      uid: '00u8o1234567890abcde',
      scp: ['openid', 'read'],
      auth_time: NOW - 20
    },
    scope: 'read',
    access: { clientId: '0oa8o1234567890abcde', subject: 'ada@example.com', scopes: ['openid', 'read'] },
    variants: [
      ['of a service', { claims: { sub: '0oa8o1234567890abcde', scp: ['read'], ...without('uid', 'auth_time') } }]
    ],
    refused: [
      [
        'an ID token',
        {
          claims: {
            jti: 'ID.ewMNfSvcpuqyS93OgVeCN3F2LseqROkyYjz7DNb9yhs',
            aud: '0oa8o1234567890abcde',
            ...without('cid', 'scp', 'uid')
          }
        },
        denial.claim
      ],
      ['an ID token, even for this audience', { claims: without('cid', 'scp', 'uid') }, denial.type],
      ['an ID token with at_hash', { claims: { at_hash: 'h' } }, denial.type],
      [
        'another authorization server of the org',
        { claims: { iss: 'https://acme.okta.com/oauth2/aus1' } },
        denial.issuer
      ],
      [
        'a token of the org authorization server (ASQ-07)',
        { claims: { iss: 'https://acme.okta.com', aud: 'https://acme.okta.com' } },
        denial.issuer
      ],
      ['another audience', { claims: { aud: 'https://acme.okta.com' } }, denial.audience],
      ['two scopes in one element, which is one scope', { claims: { scp: ['openid read'] } }, denial.scope]
    ]
  },
  {
    name: 'ASQ-14: Duende IdentityServer',
    profile: duende({ issuer: 'https://id.example.com', audience: 'orders' }),
    plain: { issuer: 'https://id.example.com', audience: 'orders' },
    without: denial.claim,
    documents: {
      '/.well-known/openid-configuration': {
        issuer: 'https://id.example.com',
        jwks_uri: 'https://id.example.com/.well-known/openid-configuration/jwks'
      },
      '/.well-known/openid-configuration/jwks': { keys: [key.publicJwk] }
    },
    fetched: [
      '/.well-known/oauth-authorization-server',
      '/.well-known/openid-configuration',
      '/.well-known/openid-configuration/jwks'
    ],
    header: { alg: 'RS256', kid: 'k1', typ: 'at+jwt' },
    claims: {
      iss: 'https://id.example.com',
      nbf: NOW - 10,
      ...times,
      aud: 'orders',
      scope: ['read', 'orders.write'],
      client_id: 'm2m',
      jti: 'A2E2C3A7B5D0F4'
    },
    scope: 'read',
    access: { clientId: 'm2m', subject: undefined, scopes: ['read', 'orders.write'] },
    variants: [
      ['of a user', { claims: { sub: '88421113', auth_time: NOW - 20, idp: 'local', sid: 's', amr: ['pwd'] } }],
      ['with EmitScopesAsSpaceDelimitedStringInJwt', { claims: { scope: 'read orders.write' } }]
    ],
    refused: [
      [
        'an ID token',
        { header: { typ: 'JWT' }, claims: { aud: 'web', sub: '88421113', ...without('client_id', 'scope') } },
        denial.type
      ],
      ['an access token without type, as IdentityServer 3 had', { header: { typ: undefined } }, denial.type],
      ['no ApiResource', { claims: { aud: undefined } }, denial.audience],
      ['another ApiResource', { claims: { aud: 'invoices' } }, denial.audience],
      ['no client', { claims: { client_id: undefined } }, denial.claim]
    ]
  }
]

describe.each(VENDORS.map((vendor) => [vendor.name, vendor] as const))('%s', (_name, vendor) => {
  const issuers = [vendor.profile].flat() as IssuerOptions[]
  const origin = new URL((issuers[0] as IssuerOptions).issuer).origin
  const needed = scope(vendor.scope)
  const token = ({ header, claims, key: signer = key }: Flaw = {}): string =>
    signJws({ ...vendor.header, ...header }, { ...vendor.claims, ...claims }, signer)

  test('ASQ-18: a token as documented is accepted, and its scopes, client and subject are read', async () => {
    const served = await serve([origin], documents(vendor.documents))
    const api = bed.api({ issuers, http: served.http })
    expect(await authorize(api, token(), needed)).toMatchObject(vendor.access)
    expect(paths(served)).toEqual(vendor.fetched)
  })

  test('ASQ-18: refuses the same token without the profile', async () => {
    const served = await serve([origin], documents(vendor.documents))
    const api = bed.api({ issuers: [vendor.plain], http: served.http })
    expect(await ask(api, token(), needed)).toEqual(requiring(vendor.without, vendor.scope))
  })

  test.each(vendor.variants)('accepts a token %s', async (_title, variant) => {
    const served = await serve([origin], documents(vendor.documents))
    const api = bed.api({ issuers, http: served.http })
    expect(await ask(api, token(variant), needed)).toEqual(granted)
  })

  test.each(vendor.refused)('refuses %s', async (_title, flaw, answer) => {
    const served = await serve([origin], documents(vendor.documents))
    const api = bed.api({ issuers, http: served.http })
    expect(await ask(api, token(flaw), needed)).toEqual(requiring(answer, vendor.scope))
  })

  test('refuses a token that is not a JWT, such as a refresh token, and sends it to no server', async () => {
    const served = await serve([origin], documents(vendor.documents))
    const api = bed.api({ issuers, http: served.http })
    expect(await ask(api, 'v1.MjQ1NjM0.refresh~token', needed)).toEqual(requiring(denial.malformed, vendor.scope))
    expect(served.server.requests).toEqual([])
  })
})

test('ASQ-10: Keycloak marks a DPoP-bound token as `DPoP`, which is accepted only with its proof', async () => {
  const { profile, header, claims } = VENDORS.find(({ name }) => name.includes('Keycloak')) as Vendor
  const client = createDpopKey()
  const jwt = signJws(header, { ...claims, typ: 'DPoP', cnf: { jkt: client.jkt } }, key)
  const api = bed.api({ issuers: [{ ...(profile as IssuerOptions), jwks }] })
  const lines: Readonly<Record<string, string>> = {
    authorization: `DPoP ${jwt}`,
    dpop: client.proof({ token: jwt, at: NOW })
  }
  expect(await api.authorize({ ...request(), fieldLines: (name) => [lines[name] ?? []].flat() })).toMatchObject({
    clientId: 'web',
    confirmedBy: ['dpop']
  })
  expect(await ask(api, jwt)).toEqual(denial.dpop)
})

describe('Google', () => {
  const ORIGIN = 'https://oauth2.googleapis.com'
  const TOKEN = 'ya29.a0AfH6SMBx-example_Token'
  const CLIENT = '123-abc.apps.googleusercontent.com'
  const EMAIL = 'https://www.googleapis.com/auth/userinfo.email'
  const active = {
    azp: CLIENT,
    aud: CLIENT,
    sub: '111260650121185072906',
    scope: `openid read ${EMAIL}`,
    exp: String(NOW + 3599),
    expires_in: '3599',
    email: 'ada@example.com',
    email_verified: 'true',
    access_type: 'online'
  }
  const inactive = fault.status(400, {
    headers: { 'content-type': 'application/json' },
    body: '{"error":"invalid_token","error_description":"Invalid Value"}'
  })
  const profile = google({ clientIds: ['456-def.apps.googleusercontent.com', CLIENT] })

  test('ASQ-12: calls tokeninfo with a form and without credentials, and reads its strings as numbers', async () => {
    const served = await serve([ORIGIN], documents({ '/tokeninfo': active }))
    const api = bed.api({ issuers: [profile], http: served.http })
    expect(await authorize(api, TOKEN)).toMatchObject({
      issuer: 'https://accounts.google.com',
      subject: '111260650121185072906',
      clientId: CLIENT,
      audience: [CLIENT],
      scopes: ['openid', 'read', EMAIL],
      expiresAt: NOW + 3599
    })
    expect(served.server.requests).toHaveLength(1)
    const [asked] = served.server.requests
    expect(asked).toMatchObject({ method: 'POST', path: '/tokeninfo', body: `access_token=${TOKEN}` })
    expect(asked?.headers.authorization).toBeUndefined()
  })

  test.each<readonly [title: string, behaviour: Behaviour, answer: Answered]>([
    ['a token that Google does not know is not active', inactive, denial.inactive],
    [
      'a token of another client',
      documents({ '/tokeninfo': { ...active, aud: 'evil', azp: 'evil' } }),
      denial.audience
    ],
    ['an answer without aud', documents({ '/tokeninfo': { ...active, aud: undefined } }), denial.audience],
    ['a token that has ended', documents({ '/tokeninfo': { ...active, exp: String(NOW - 30) } }), denial.expired],
    ['an answer without exp', documents({ '/tokeninfo': { ...active, exp: undefined } }), denial.misconfigured],
    ['an exp that is no number', documents({ '/tokeninfo': { ...active, exp: 'soon' } }), denial.misconfigured],
    ['a page', fault.html200(), denial.misconfigured],
    ['a list', documents({ '/tokeninfo': [active] }), denial.misconfigured],
    ['404', documents({}), denial.misconfigured],
    ['403', fault.status(403), denial.misconfigured],
    ['an outage', fault.status(503), denial.unavailable],
    ['a token without the scope', documents({ '/tokeninfo': { ...active, scope: EMAIL } }), denial.scope]
  ])('ASQ-12: %s', async (_title, behaviour, answer) => {
    const served = await serve([ORIGIN], behaviour)
    expect(await ask(bed.api({ issuers: [profile], http: served.http }), TOKEN)).toEqual(answer)
  })

  test('ASQ-12: reads strings as numbers nowhere else', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: [introspecting(issuer)] })
    expect(await ask(api, issuer.opaque({ exp: String(NOW + 300) }))).toEqual(denial.claim)
    expect(await ask(api, issuer.opaque({ active: 'true' }))).toEqual(denial.misconfigured)
  })

  test('ASQ-12: tokeninfo refuses an ID token of Google, and a refresh token is sent nowhere', async () => {
    const served = await serve([ORIGIN], inactive)
    const api = bed.api({ issuers: [profile], http: served.http })
    const idToken = signJws(
      { alg: 'RS256', kid: 'k1', typ: 'JWT' },
      { iss: profile.issuer, aud: CLIENT, sub: '1' },
      key
    )
    expect(await ask(api, idToken)).toEqual(denial.inactive)
    served.server.reset()
    expect(await ask(api, '1//0gRefreshToken-example')).toEqual(denial.malformed)
    expect(served.server.requests).toEqual([])
  })

  test('ASQ-12: without the profile an opaque token is malformed', async () => {
    const api = bed.api({ issuers: [{ issuer: profile.issuer, audience: CLIENT }] })
    expect(await ask(api, TOKEN)).toEqual(denial.malformed)
  })
})

describe('Telnyx', () => {
  const ORIGIN = 'https://api.telnyx.com'
  const profile = telnyx({ apiKey: 'KEY0123', audience: RESOURCE })
  const active = {
    active: true,
    aud: RESOURCE,
    client_id: 'c1',
    exp: NOW + 300,
    iat: NOW - 10,
    iss: ORIGIN,
    scope: 'admin read'
  }
  const introspection = (answer: unknown): Behaviour => documents({ '/v2/oauth/introspect': answer })

  test('ASQ-13: introspects with the API key and a form; an answer without sub, jti and token_type is enough', async () => {
    const served = await serve([ORIGIN], introspection(active))
    const api = bed.api({ issuers: [profile], http: served.http })
    expect(await authorize(api, 'opaque-token')).toMatchObject({
      issuer: ORIGIN,
      subject: undefined,
      clientId: 'c1',
      audience: [RESOURCE],
      scopes: ['admin', 'read'],
      expiresAt: NOW + 300
    })
    expect(served.server.requests).toHaveLength(1)
    const [asked] = served.server.requests
    expect(asked).toMatchObject({ method: 'POST', path: '/v2/oauth/introspect' })
    expect(asked?.headers.authorization).toBe('Bearer KEY0123')
    expect(asked?.headers['content-type']).toBe('application/x-www-form-urlencoded')
    expect(asked?.form.get('token')).toBe('opaque-token')
  })

  test.each<readonly [title: string, behaviour: Behaviour, answer: Answered]>([
    ['a token that is not active', introspection({ active: false }), denial.inactive],
    ['a token for another API', introspection({ ...active, aud: 'https://other.example' }), denial.audience],
    ['an answer without aud', introspection({ ...active, aud: undefined }), denial.audience],
    ['another issuer', introspection({ ...active, iss: 'https://other.example' }), denial.issuer],
    ['a token that has ended', introspection({ ...active, exp: NOW - 30 }), denial.expired],
    ['an API key that Telnyx does not take', fault.status(401), denial.misconfigured],
    ['an API key that may not introspect', fault.status(403), denial.misconfigured],
    ['too many requests', fault.retryAfter(7), { ...denial.unavailable, retryAfter: '7' }]
  ])('ASQ-13: %s', async (_title, behaviour, answer) => {
    const served = await serve([ORIGIN], behaviour)
    expect(await ask(bed.api({ issuers: [profile], http: served.http }), 'opaque-token')).toEqual(answer)
  })

  test('ASQ-13: accepts another base, and by default the audience `resource`', async () => {
    const served = await serve([], introspection({ ...active, iss: undefined }))
    const { origin } = served.server
    const local = telnyx({ apiKey: async () => 'KEY', base: `${origin}/v2` })
    expect(local).not.toHaveProperty('audience')
    expect(await ask(bed.api({ issuers: [local] }), 'opaque-token')).toEqual(granted)
    expect(served.server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer KEY'])
  })

  test('ASQ-13: with `tokens: "both"` verifies JWTs locally, found at the origin’s well-known URL, without sub', async () => {
    const served = await serve(
      [ORIGIN],
      documents({
        '/.well-known/oauth-authorization-server': { issuer: ORIGIN, jwks_uri: `${ORIGIN}/v2/oauth/jwks` },
        '/v2/oauth/jwks': jwks
      })
    )
    const { active: _active, ...claims } = active
    const jwt = signJws({ alg: 'RS256', typ: 'at+jwt', kid: 'k1' }, claims, key)
    const both = bed.api({ issuers: [{ ...profile, tokens: 'both' }], http: served.http })
    expect(await ask(both, jwt)).toEqual(granted)
    expect(paths(served)).toEqual(['/.well-known/oauth-authorization-server', '/v2/oauth/jwks'])
    const plain = bed.api({ issuers: [{ issuer: ORIGIN, audience: RESOURCE }], http: served.http })
    expect(await ask(plain, jwt)).toEqual(denial.claim)
  })

  test('ASQ-13: no error contains the API key', () => {
    expect(JSON.stringify(profile)).not.toContain('KEY0123')
    expect(() => telnyx({ apiKey: 'KEY0123', base: 'http://api.telnyx.com/v2' })).toThrow(/^(?!.*KEY0123)/s)
  })
})

describe('authorization servers without a profile', () => {
  const token = (claims: JsonObject, header: JsonObject = {}): string =>
    signJws(
      { alg: 'RS256', kid: 'k1', ...header },
      { ...times, aud: RESOURCE, sub: 'u1', scope: 'read', ...claims },
      key
    )

  test('ASQ-02: the template that Entra ID publishes for all tenants is accepted for none', async () => {
    const served = await serve(
      ['https://login.microsoftonline.com'],
      documents({
        '/common/v2.0/.well-known/openid-configuration': {
          issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0',
          jwks_uri: 'https://login.microsoftonline.com/common/discovery/v2.0/keys'
        }
      })
    )
    const issuer = 'https://login.microsoftonline.com/common/v2.0'
    const api = bed.api({ issuers: [{ issuer, tokenProfile: 'legacy' }], http: served.http })
    expect(await ask(api, token({ iss: issuer }))).toEqual(denial.misconfigured)
    expect(await ask(api, token({ iss: entraIssuer(TENANT) }))).toEqual(denial.issuer)
  })

  test('ASQ-04: accepts ADFS tokens of http://…/services/trust with metadata that name https://…/adfs', async () => {
    const served = await serve(
      ['https://adfs.example.com'],
      documents({
        '/adfs/.well-known/openid-configuration': {
          issuer: 'https://adfs.example.com/adfs',
          access_token_issuer: 'http://adfs.example.com/adfs/services/trust',
          jwks_uri: 'https://adfs.example.com/adfs/discovery/keys'
        },
        '/adfs/discovery/keys': jwks
      })
    )
    const adfs: IssuerOptions = { issuer: 'https://adfs.example.com/adfs', tokenProfile: 'legacy', scopeClaim: 'scp' }
    const accepted = { ...adfs, acceptedIssuers: ['http://adfs.example.com/adfs/services/trust'] }
    const jwt = token({ iss: 'http://adfs.example.com/adfs/services/trust', scp: 'read' }, { typ: 'JWT' })
    expect(await ask(bed.api({ issuers: [adfs], http: served.http }), jwt)).toEqual(denial.issuer)
    expect(await ask(bed.api({ issuers: [accepted], http: served.http }), jwt)).toEqual(granted)
  })

  test('ASQ-04: finds Azure AD B2C metadata at a policy’s path, with another issuer in it', async () => {
    const place = '/acme.onmicrosoft.com/b2c_1_signin/v2.0/.well-known/openid-configuration'
    const named = `https://acme.b2clogin.com/tfp/${TENANT}/b2c_1_signin/v2.0/`
    const served = await serve(
      ['https://acme.b2clogin.com'],
      documents({ [place]: { issuer: named, jwks_uri: 'https://acme.b2clogin.com/keys' }, '/keys': jwks })
    )
    const issuer = `https://acme.b2clogin.com/${TENANT}/v2.0/`
    const b2c: IssuerOptions = { issuer, metadataUrl: `https://acme.b2clogin.com${place}`, tokenProfile: 'legacy' }
    const jwt = token({ iss: issuer }, { typ: 'JWT' })
    expect(await ask(bed.api({ issuers: [b2c], http: served.http }), jwt)).toEqual(denial.misconfigured)
    const expected = { ...b2c, expectedMetadataIssuer: named }
    expect(await ask(bed.api({ issuers: [expected], http: served.http }), jwt)).toEqual(granted)
  })

  test('ASQ-09: introspects an encrypted token as Auth0 and OpenIddict issue them, if configured', async () => {
    const issuer = await bed.issuer()
    const jwe = 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwiaXNzIjoiYSJ9..MTIzNDU2Nzg5MDEy.c2VjcmV0.MTIzNDU2Nzg5MDEyMzQ1Ng'
    expect(await ask(bed.api({ issuers: [introspecting(issuer)] }), issuer.opaque({}, jwe))).toEqual(granted)
    expect((await ask(bed.api({ issuers: [issuer.issuer] }), jwe)).status).toBe(401)
  })

  test('ASQ-11: tells the log that Keycloak calls a token inactive for an API that is not in its aud', async () => {
    const issuer = await bed.issuer({ path: '/realms/acme', discovery: 'openid-append' })
    const profile = keycloak({ issuer: issuer.issuer, audience: RESOURCE })
    const introspection = { clientId: 'orders-api', auth: clientSecretBasic('secret') }
    const api = bed.api({ issuers: [{ ...profile, tokens: 'opaque', introspection }] })
    const jwt = issuer.token({ header: { typ: 'JWT' }, claims: { typ: 'Bearer', azp: 'web', client_id: undefined } })
    expect(await ask(api, issuer.opaque({ typ: 'Bearer', azp: 'web', client_id: undefined }, jwt))).toEqual(granted)
    const other = issuer.token()
    expect(await ask(api, other)).toEqual(denial.inactive)
    expect((await refusal(() => authorize(api, other))).hint).toContain('if this API is not in its audience')
    expect(await ask(api, issuer.opaque({ typ: 'Refresh' }))).toEqual(denial.type)
  })

  test('ASQ-14: accepts Duende’s token_type `access_token` without a proof', async () => {
    const issuer = await bed.issuer()
    const profile = { ...duende({ issuer: issuer.issuer, audience: 'orders' }), ...introspecting(issuer) }
    const api = bed.api({ issuers: [{ ...profile, audience: 'orders' }] })
    const answer = { aud: 'orders', token_type: 'access_token', sub: undefined }
    expect(await ask(api, issuer.opaque(answer))).toEqual(granted)
    expect(await ask(api, issuer.opaque({ ...answer, token_type: 'refresh_token' }))).toEqual(denial.type)
  })

  test('ASQ-15: accepts Spring Authorization Server tokens: scopes in a list, aud the client, no typ', async () => {
    const issuer = await bed.issuer({ algorithms: ['RS256'] })
    const spring: IssuerOptions = { issuer: issuer.issuer, audience: 'messaging-client', tokenProfile: 'legacy' }
    const claims = { aud: 'messaging-client', scope: ['read'], client_id: undefined, nbf: NOW - 10 }
    const jwt = issuer.token({ header: { typ: undefined }, claims })
    expect(await ask(bed.api({ issuers: [spring] }), jwt)).toEqual(granted)
    expect(await ask(bed.api({ issuers: [issuer.issuer] }), jwt)).toEqual(denial.type)
    const wrong = bed.api({ issuers: [{ ...spring, audience: RESOURCE }] })
    expect(await ask(wrong, jwt)).toEqual(denial.audience)
  })

  test('ASQ-15: reads Ory Hydra tokens: an empty aud unless requested, scopes in scp, a slash at the end of the issuer', async () => {
    const issuer = await bed.issuer({ path: '/', discovery: 'openid-append' })
    const hydra: IssuerOptions = { issuer: issuer.issuer, tokenProfile: 'legacy' }
    const jwt = issuer.token({ header: { typ: 'JWT' }, claims: { aud: [], scope: undefined, scp: ['read'] } })
    expect(await ask(bed.api({ issuers: [hydra] }), jwt)).toEqual(denial.audience)
    expect(await ask(bed.api({ issuers: [{ ...hydra, audience: null }] }), jwt)).toEqual(granted)
  })

  test('ASQ-15: refuses a PingFederate typ of the administrator’s own, and treats a blank one as missing', async () => {
    const issuer = await bed.issuer()
    const ping = bed.api({ issuers: [{ issuer: issuer.issuer, tokenProfile: 'legacy' }] })
    expect(await ask(ping, issuer.token({ header: { typ: 'acme+jwt' } }))).toEqual(denial.type)
    expect(await ask(ping, issuer.token({ header: { typ: undefined } }))).toEqual(granted)
  })

  test.each<readonly [title: string, behaviour: Behaviour]>([
    [
      'another tenant’s metadata',
      fault.body({ issuer: 'https://sso.example.com/realms/other', jwks_uri: 'https://evil.example' })
    ],
    ['401', fault.status(401)],
    ['403', fault.status(403)],
    ['200 and a page', fault.html200()]
  ])('ASQ-16: skips a proxy that answers the inserted well-known URL with %s', async (_title, catchAll) => {
    const vendor = VENDORS.find(({ name }) => name.includes('Keycloak')) as Vendor
    const served = await serve(['https://sso.example.com'], (exchange) => {
      const inserted = exchange.request.path.startsWith('/.well-known/')
      return (inserted ? catchAll : documents(vendor.documents))(exchange)
    })
    const api = bed.api({ issuers: [vendor.profile as IssuerOptions], http: served.http })
    expect(await ask(api, signJws(vendor.header, vendor.claims, key))).toEqual(granted)
    expect(paths(served)).toEqual(vendor.fetched)
  })
})

describe('profiles are data', () => {
  test('ASQ-18: a profile sets only options of `issuers`, which can be overridden', async () => {
    expect(auth0({ domain: 'tenant.eu.auth0.com', audience: RESOURCE })).toEqual({
      issuer: 'https://tenant.eu.auth0.com/',
      audience: [RESOURCE],
      tokenProfile: 'legacy',
      scopeClaim: 'scope',
      clientIdClaim: ['azp', 'client_id'],
      requiredClaims: ['sub', 'client_id', 'iat']
    })
    expect(entra({ tenantIds: TENANT, audience: 'a' })).toHaveLength(1)
    const served = await serve(['https://sso.example.com'], documents({}))
    const profile = keycloak({ issuer: 'https://sso.example.com/realms/acme', audience: 'orders-api' })
    const own = { ...profile, jwks, requiredClaims: ['client_id'], clientIdClaim: 'azp' }
    const vendor = VENDORS.find(({ name }) => name.includes('Keycloak')) as Vendor
    const lightweight = signJws(vendor.header, { ...vendor.claims, sub: undefined }, key)
    expect(await ask(bed.api({ issuers: [own], http: served.http }), lightweight)).toEqual(granted)
    expect(served.server.requests).toEqual([])
  })

  test('ASQ-18: no token and no host name selects a profile: without it, RFC 9068 applies', async () => {
    for (const { plain, without: answer, scope: name, ...vendor } of VENDORS) {
      const api = bed.api({ issuers: [{ ...plain, jwks }] })
      const jwt = signJws(vendor.header, vendor.claims, key)
      expect(await ask(api, jwt, scope(name)), vendor.name).toEqual(requiring(answer, name))
    }
  })

  test('ASQ-18: all profiles work side by side; an opaque token goes to its own issuer', async () => {
    const served = await serve(['https://oauth2.googleapis.com'], fault.status(400))
    const api = bed.api({
      issuers: [...VENDORS.slice(1).flatMap(({ profile }) => profile), google({ clientIds: 'g' })].filter(
        ({ issuer }, i, all) => all.findIndex((one) => one.issuer === issuer) === i
      ),
      http: served.http
    })
    expect(await ask(api, 'ya29.token')).toEqual(denial.inactive)
    expect(await ask(api, 'another-token')).toEqual(denial.malformed)
    expect(paths(served)).toEqual(['/tokeninfo'])
  })

  test.each<readonly [problem: string, profile: () => unknown]>([
    ['`domain` is ""', () => auth0({ domain: '', audience: 'a' })],
    ['it must be a host in lower case', () => auth0({ domain: 'https://tenant.eu.auth0.com', audience: 'a' })],
    ['it must be a host in lower case', () => auth0({ domain: 'tenant.eu.auth0.com/', audience: 'a' })],
    ['it must be a host in lower case', () => auth0({ domain: 'Tenant.eu.auth0.com', audience: 'a' })],
    ['`audience` holds an empty name', () => auth0({ domain: 'tenant.eu.auth0.com', audience: '' })],
    ['`audience` is empty', () => auth0({ domain: 'tenant.eu.auth0.com', audience: [] })],
    ['`permissions` is "yes"', () => auth0({ domain: 'a.b', audience: 'a', permissions: 'yes' as never })],
    ['`scope` is not an option', () => auth0({ domain: 'a.b', audience: 'a', scope: 'a' } as never)],
    ['auth0() found a problem in its options:\n- `options` is missing', () => auth0(undefined as never)],
    ['`tenantIds` is empty', () => entra({ tenantIds: [], audience: 'a' })],
    ["`tenantIds` holds 'common', which means every tenant", () => entra({ tenantIds: 'common', audience: 'a' })],
    [
      "holds 'organizations', which means every tenant",
      () => entra({ tenantIds: [TENANT, 'organizations'], audience: 'a' })
    ],
    ['it must be a directory (tenant) ID, a GUID', () => entra({ tenantIds: 'acme.onmicrosoft.com', audience: 'a' })],
    ['a GUID in lower case', () => entra({ tenantIds: TENANT.toUpperCase(), audience: 'a' })],
    ['`audience` is missing', () => entra({ tenantIds: TENANT, audience: undefined as never })],
    [
      'it must be https://sso.example.com/realms/acme',
      () => keycloak({ issuer: 'https://sso.example.com', audience: 'a' })
    ],
    [
      'https://sso.example.com/realms/acme',
      () => keycloak({ issuer: 'https://sso.example.com/realms/acme/', audience: 'a' })
    ],
    ['use https', () => keycloak({ issuer: 'http://sso.example.com/realms/acme', audience: 'a' })],
    ['`issuer` is ""', () => keycloak({ issuer: '', audience: 'a' })],
    ['it must be an AWS region', () => cognito({ region: 'Frankfurt', userPoolId: 'x', clientIds: 'a' })],
    ['it must be a user pool ID', () => cognito({ region: 'eu-central-1', userPoolId: '', clientIds: 'a' })],
    ['is in another region', () => cognito({ region: 'eu-west-1', userPoolId: 'eu-central-1_A', clientIds: 'a' })],
    ['it must be a user pool ID', () => cognito({ region: 'eu-west-1', userPoolId: 'eu-west-1_A/x', clientIds: 'a' })],
    ['`clientIds` is empty', () => cognito({ region: 'eu-west-1', userPoolId: 'eu-west-1_A', clientIds: [] })],
    [
      'tokens of the org authorization server are for Okta only',
      () => okta({ issuer: 'https://acme.okta.com', audience: 'a' })
    ],
    ['a custom authorization server', () => okta({ issuer: 'https://acme.okta.com/oauth2/default/', audience: 'a' })],
    ['`audience` holds an empty name', () => okta({ issuer: 'https://acme.okta.com/oauth2/default', audience: [''] })],
    ['`clientIds` holds an empty name', () => google({ clientIds: '' })],
    ['`apiKey` is missing or empty: is a variable unset?', () => telnyx({ apiKey: '' })],
    ['`apiKey` is missing or empty', () => telnyx({ apiKey: undefined as never })],
    ['without a final slash', () => telnyx({ apiKey: 'k', base: 'https://api.telnyx.com/v2/' })],
    ['`audience` is empty', () => telnyx({ apiKey: 'k', audience: [] })],
    ['it must be https://id.example.com', () => duende({ issuer: 'id.example.com', audience: 'a' })],
    ['`audience` holds an empty name', () => duende({ issuer: 'https://id.example.com', audience: '' })]
  ])('refuses an invalid parameter with a message: %s', (problem, profile) => {
    expect(profile).toThrow(TypeError)
    expect(profile).toThrow(problem)
  })

  test('reports all mistakes of a profile together', () => {
    expect(() => cognito({ region: '', userPoolId: '', clientIds: '' })).toThrow(/^cognito\(\) found 3 problems/)
  })
})
