/**
 * Profiles of hosted services, authorization servers and workloads: the token that each vendor documents is accepted and
 * read right, and what comes near it is refused. Keys are fetched at the vendors' own URLs, behind which a server of this
 * machine stands.
 */
import { describe, expect, test } from 'vitest'
import { type IssuerOptions, resourceServer, scope } from '../src/index.js'
import {
  authentik,
  clerk,
  curity,
  firebase,
  fusionAuth,
  githubActions,
  hydra,
  kubernetes,
  logto,
  pingAm,
  salesforce,
  springAuthorizationServer,
  supabase,
  workosAuthKit,
  wso2,
  xsuaa,
  zitadel
} from '../src/profiles.js'
import {
  type Answered,
  ask,
  authorize,
  createBed,
  denial,
  granted,
  RESOURCE,
  redirectingAgent
} from './support/exchange.js'
import { createSigningKey, fault, signJws } from './support/issuer.js'

type JsonObject = Readonly<Record<string, unknown>>

const bed = createBed()
const NOW = 1_750_000_000
const key = createSigningKey('RS256')
const strange = createSigningKey('RS256')
const times = { iat: NOW - 10, exp: NOW + 300 }
const gone = (...names: readonly string[]): JsonObject => Object.fromEntries(names.map((name) => [name, undefined]))
const GUID = '8e7f1a3c-0d6b-4c39-9a51-2b7d4a0c9e11'
const OTHER_GUID = '1f0e2d3c-4b5a-4978-8695-a4b3c2d1e0f9'

interface Flaw {
  readonly header?: JsonObject
  readonly claims?: JsonObject
}

interface Vendor {
  readonly name: string
  readonly profile: IssuerOptions
  /** Where the keys are, and where the metadata is, if it is fetched. */
  readonly keys: string
  readonly metadata?: string
  readonly header: JsonObject
  readonly claims: JsonObject
  readonly access: JsonObject
  /** What becomes of the token with the same issuer and audience alone. */
  readonly plain: Answered
  readonly accepted?: readonly (readonly [title: string, variant: Flaw])[]
  readonly refused: readonly (readonly [title: string, flaw: Flaw, answer: Answered])[]
}

const VENDORS: readonly Vendor[] = [
  {
    name: 'Supabase',
    profile: supabase({ url: 'https://abcdefgh.supabase.co' }),
    keys: 'https://abcdefgh.supabase.co/auth/v1/.well-known/jwks.json',
    header: { typ: 'JWT' },
    claims: {
      iss: 'https://abcdefgh.supabase.co/auth/v1',
      aud: 'authenticated',
      sub: 'u1',
      role: 'authenticated',
      aal: 'aal1',
      amr: [{ method: 'password', timestamp: NOW }],
      session_id: 's',
      is_anonymous: false,
      email: 'a@example.com',
      phone: ''
    },
    access: { subject: 'u1', clientId: undefined, scopes: [], audience: ['authenticated'] },
    plain: denial.type,
    refused: [
      ['the service key', { claims: { role: 'service_role', ...gone('sub', 'aud', 'session_id') } }, denial.type],
      ['the anonymous key', { claims: { role: 'anon', ...gone('sub', 'aud') } }, denial.type],
      ['an ID token of its OAuth server', { claims: { aud: 'client-1', ...gone('role', 'session_id') } }, denial.type],
      ['another project', { claims: { iss: 'https://other.supabase.co/auth/v1' } }, denial.issuer],
      ['a token without a session', { claims: gone('session_id') }, denial.claim]
    ]
  },
  {
    name: 'Firebase',
    profile: firebase({ projectId: 'my-project' }),
    keys: 'https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com',
    header: { typ: 'JWT' },
    claims: {
      iss: 'https://securetoken.google.com/my-project',
      aud: 'my-project',
      auth_time: NOW - 20,
      user_id: 'u1',
      sub: 'u1',
      email: 'a@example.com',
      email_verified: true,
      firebase: { identities: { email: ['a@example.com'] }, sign_in_provider: 'password' }
    },
    access: { subject: 'u1', clientId: undefined, audience: ['my-project'] },
    plain: denial.type,
    refused: [
      [
        'another project, whose tokens the same keys sign',
        { claims: { iss: 'https://securetoken.google.com/other-project', aud: 'other-project' } },
        denial.issuer
      ],
      ['another audience', { claims: { aud: 'other-project' } }, denial.audience],
      ['a session cookie', { claims: { iss: 'https://session.firebase.google.com/my-project' } }, denial.issuer],
      ['an ID token of Google', { claims: { azp: 'my-project', at_hash: 'h', ...gone('firebase') } }, denial.type],
      ['a null where Firebase has its claim', { claims: { firebase: null } }, denial.type],
      ['a token without auth_time', { claims: gone('auth_time') }, denial.claim]
    ]
  },
  {
    name: 'Clerk sessions',
    profile: clerk({ issuer: 'https://clerk.example.com', origins: 'https://app.example.com' }),
    keys: 'https://clerk.example.com/.well-known/jwks.json',
    header: { typ: 'JWT', cat: 'cl_1' },
    claims: {
      iss: 'https://clerk.example.com',
      azp: 'https://app.example.com',
      sub: 'user_1',
      sid: 'sess_1',
      sts: 'active',
      fva: [0, -1],
      nbf: NOW - 10,
      v: 2
    },
    access: { subject: 'user_1', clientId: undefined, audience: ['https://app.example.com'] },
    plain: denial.type,
    refused: [
      ['a session that is pending', { claims: { sts: 'pending' } }, denial.type],
      ['a session token of version 1', { claims: gone('sts', 'v') }, denial.type],
      ['another origin', { claims: { azp: 'https://evil.example' } }, denial.audience],
      ['no origin', { claims: gone('azp') }, denial.audience],
      [
        'an OAuth access token',
        {
          header: { typ: 'at+jwt' },
          claims: { client_id: 'c1', jti: 'oat_1', scope: 'read', ...gone('sts', 'sid', 'azp') }
        },
        denial.type
      ],
      ['an ID token', { claims: { aud: 'c1', at_hash: 'h', ...gone('sts', 'sid', 'azp') } }, denial.type],
      ['another instance', { claims: { iss: 'https://clerk.other.example' } }, denial.issuer]
    ]
  },
  {
    name: 'Clerk OAuth applications',
    profile: clerk({ issuer: 'https://clerk.example.com', clientIds: ['c1', 'c2'] }),
    keys: 'https://clerk.example.com/.well-known/jwks.json',
    header: { typ: 'at+jwt' },
    claims: {
      iss: 'https://clerk.example.com',
      sub: 'user_1',
      client_id: 'c1',
      jti: 'oat_1',
      nbf: NOW - 10,
      scope: 'profile read'
    },
    access: { subject: 'user_1', clientId: 'c1', scopes: ['profile', 'read'], audience: ['c1'] },
    plain: denial.audience,
    refused: [
      ['another client', { claims: { client_id: 'c3' } }, denial.audience],
      ['a session token', { header: { typ: 'JWT' }, claims: { sid: 's', sts: 'active' } }, denial.type],
      ['an ID token', { header: { typ: 'JWT' }, claims: { aud: 'c1', ...gone('client_id') } }, denial.type]
    ]
  },
  {
    name: 'WorkOS AuthKit, Connect',
    profile: workosAuthKit({ domain: 'acme.authkit.app', audience: RESOURCE }),
    metadata: 'https://acme.authkit.app/.well-known/oauth-authorization-server',
    keys: 'https://acme.authkit.app/oauth2/jwks',
    header: {},
    claims: {
      iss: 'https://acme.authkit.app',
      aud: RESOURCE,
      sub: 'user_1',
      client_id: 'client_1',
      org_id: 'org_1',
      sid: 'app_consent_1',
      scope: 'openid read',
      jti: 'j'
    },
    access: { subject: 'user_1', clientId: 'client_1', scopes: ['openid', 'read'] },
    plain: denial.type,
    refused: [
      ['an ID token', { claims: { aud: 'client_1', ...gone('client_id', 'scope') } }, denial.claim],
      ['a token for another API', { claims: { aud: 'https://other.example' } }, denial.audience],
      ['a session token', { claims: { iss: 'https://api.workos.com/user_management/client_1' } }, denial.issuer],
      ['another environment', { claims: { iss: 'https://other.authkit.app' } }, denial.issuer]
    ]
  },
  {
    name: 'WorkOS AuthKit, sessions',
    profile: workosAuthKit({ clientId: 'client_1' }),
    keys: 'https://api.workos.com/sso/jwks/client_1',
    header: {},
    claims: {
      iss: 'https://api.workos.com/user_management/client_1',
      sub: 'user_1',
      sid: 'session_1',
      org_id: 'org_1',
      role: 'member',
      permissions: ['read'],
      jti: 'j'
    },
    access: { subject: 'user_1', clientId: undefined, scopes: [] },
    plain: denial.type,
    refused: [
      ['a token without a session', { claims: gone('sid') }, denial.type],
      ['another environment', { claims: { iss: 'https://api.workos.com/user_management/client_2' } }, denial.issuer],
      ['a Connect token', { claims: { iss: 'https://acme.authkit.app' } }, denial.issuer]
    ]
  },
  {
    name: 'Logto',
    profile: logto({ endpoint: 'https://acme.logto.app', audience: RESOURCE }),
    metadata: 'https://acme.logto.app/oidc/.well-known/openid-configuration',
    keys: 'https://acme.logto.app/oidc/jwks',
    header: { typ: 'at+jwt' },
    claims: { iss: 'https://acme.logto.app/oidc', aud: RESOURCE, sub: 'u1', client_id: 'c1', scope: 'read', jti: 'j' },
    access: { subject: 'u1', clientId: 'c1', scopes: ['read'] },
    plain: granted,
    refused: [
      [
        'an ID token',
        { header: { typ: undefined }, claims: { aud: 'c1', ...gone('client_id', 'scope') } },
        denial.type
      ],
      ['an organization’s token', { claims: { aud: 'urn:logto:organization:o1' } }, denial.audience],
      ['another tenant', { claims: { iss: 'https://other.logto.app/oidc' } }, denial.issuer]
    ]
  },
  {
    name: 'Salesforce',
    profile: salesforce({ issuer: 'https://acme.my.salesforce.com', audience: 'https://acme.my.salesforce.com' }),
    metadata: 'https://acme.my.salesforce.com/.well-known/openid-configuration',
    keys: 'https://acme.my.salesforce.com/id/keys',
    header: { typ: 'JWT', tty: 'sfdc-core-token', tnk: 'core/acme', ver: '1.0' },
    claims: {
      iss: 'https://acme.my.salesforce.com',
      aud: ['https://acme.my.salesforce.com'],
      sub: 'uid:005',
      client_id: '3MVG9',
      scp: 'refresh_token read',
      mty: 'oauth',
      sfi: 'f',
      roles: [],
      hsc: false,
      nbf: NOW - 15
    },
    access: { subject: 'uid:005', clientId: '3MVG9', scopes: ['refresh_token', 'read'] },
    plain: denial.type,
    refused: [
      ['an ID token', { claims: { aud: '3MVG9', at_hash: 'h', ...gone('client_id', 'scp') } }, denial.type],
      ['an ID token without at_hash', { claims: { aud: '3MVG9', ...gone('client_id', 'scp') } }, denial.claim],
      ['another org', { claims: { iss: 'https://other.my.salesforce.com' } }, denial.issuer],
      ['another audience', { claims: { aud: ['https://other.example'] } }, denial.audience]
    ]
  },
  {
    name: 'FusionAuth',
    profile: fusionAuth({
      url: 'https://fusion.example.com',
      tenantId: GUID,
      applicationIds: 'app-1',
      issuer: 'acme.com'
    }),
    keys: 'https://fusion.example.com/.well-known/jwks.json',
    header: { typ: 'JWT', gty: ['authorization_code'] },
    claims: {
      iss: 'acme.com',
      aud: 'app-1',
      applicationId: 'app-1',
      sub: 'u1',
      authenticationType: 'PASSWORD',
      roles: ['user'],
      tty: 'at',
      tid: GUID,
      auth_time: NOW - 20,
      scope: 'openid read'
    },
    access: { issuer: 'acme.com', subject: 'u1', clientId: 'app-1', scopes: ['openid', 'read'] },
    plain: denial.issuer,
    refused: [
      ['an ID token', { claims: { tty: 'id', at_hash: 'h', ...gone('scope') } }, denial.type],
      ['an ID token that does not say so', { claims: gone('tty', 'scope') }, denial.type],
      ['another tenant of the same issuer and keys', { claims: { tid: OTHER_GUID } }, denial.type],
      ['another application', { claims: { aud: 'app-2' } }, denial.audience],
      ['another issuer', { claims: { iss: 'other.com' } }, denial.issuer]
    ]
  },
  {
    name: 'Zitadel',
    profile: zitadel({ issuer: 'https://acme.zitadel.cloud', audience: '2345' }),
    metadata: 'https://acme.zitadel.cloud/.well-known/openid-configuration',
    keys: 'https://acme.zitadel.cloud/oauth/v2/keys',
    header: { typ: 'JWT' },
    claims: {
      iss: 'https://acme.zitadel.cloud',
      aud: ['2345@project', '2345'],
      sub: 'u1',
      client_id: 'c',
      nbf: NOW - 10,
      jti: 'j'
    },
    access: { subject: 'u1', clientId: 'c', scopes: [] },
    plain: denial.type,
    refused: [
      ['an ID token', { claims: { azp: 'c', at_hash: 'h', amr: ['pwd'], ...gone('jti') } }, denial.type],
      ['an ID token of the implicit flow', { claims: { azp: 'c', nonce: 'n', ...gone('jti') } }, denial.type],
      ['an ID token without hash and nonce', { claims: { azp: 'c', ...gone('jti') } }, denial.claim],
      ['another project', { claims: { aud: ['6789@project', '6789'] } }, denial.audience],
      ['another instance', { claims: { iss: 'https://other.zitadel.cloud' } }, denial.issuer]
    ]
  },
  {
    name: 'authentik',
    profile: authentik({ issuer: 'https://authentik.example.com/application/o/orders/', audience: 'abcClient' }),
    metadata: 'https://authentik.example.com/application/o/orders/.well-known/openid-configuration',
    keys: 'https://authentik.example.com/application/o/orders/jwks/',
    header: { typ: 'JWT' },
    claims: {
      iss: 'https://authentik.example.com/application/o/orders/',
      aud: 'abcClient',
      azp: 'abcClient',
      sub: 'u1',
      uid: 'x',
      auth_time: NOW - 20,
      acr: 'goauthentik.io/providers/oauth2/default',
      amr: ['pwd'],
      sid: 's',
      scope: 'openid read'
    },
    access: { subject: 'u1', clientId: 'abcClient', scopes: ['openid', 'read'] },
    plain: denial.type,
    accepted: [['of an older version, without scopes', { claims: gone('scope') }]],
    refused: [
      ['an ID token', { claims: { nonce: 'n', at_hash: 'h', ...gone('azp', 'uid', 'scope') } }, denial.type],
      ['an ID token that names its client', { claims: gone('uid', 'scope') }, denial.type],
      ['an ID token with a claim uid', { claims: gone('azp', 'scope') }, denial.claim],
      ['another provider', { claims: { iss: 'https://authentik.example.com/application/o/other/' } }, denial.issuer],
      ['another client', { claims: { aud: 'other', azp: 'other' } }, denial.audience]
    ]
  },
  {
    name: 'Ory Hydra',
    profile: hydra({ issuer: 'https://hydra.example.com/', audience: RESOURCE }),
    metadata: 'https://hydra.example.com/.well-known/openid-configuration',
    keys: 'https://hydra.example.com/.well-known/jwks.json',
    header: { typ: 'JWT' },
    claims: {
      iss: 'https://hydra.example.com/',
      aud: [RESOURCE],
      sub: 'u1',
      client_id: 'c1',
      ext: {},
      nbf: NOW - 10,
      scp: ['read'],
      jti: 'j'
    },
    access: { subject: 'u1', clientId: 'c1', scopes: ['read'] },
    plain: denial.type,
    refused: [
      ['an ID token', { claims: { aud: ['c1'], at_hash: 'h', ...gone('client_id', 'scp') } }, denial.type],
      [
        'an ID token for a client of the API’s name',
        { claims: { sid: 's', ...gone('client_id', 'scp') } },
        denial.type
      ],
      ['a token that was asked for without an audience', { claims: { aud: [] } }, denial.audience],
      ['another issuer', { claims: { iss: 'https://hydra.example.com' } }, denial.issuer]
    ]
  },
  {
    name: 'Spring Authorization Server',
    profile: springAuthorizationServer({ issuer: 'https://auth.example.com', audience: 'messaging-client' }),
    metadata: 'https://auth.example.com/.well-known/oauth-authorization-server',
    keys: 'https://auth.example.com/oauth2/jwks',
    header: {},
    claims: {
      iss: 'https://auth.example.com',
      aud: 'messaging-client',
      sub: 'u1',
      nbf: NOW - 10,
      scope: ['read'],
      jti: 'j'
    },
    access: { subject: 'u1', clientId: undefined, scopes: ['read'] },
    plain: denial.type,
    accepted: [['of a version before 1.2, without jti', { claims: gone('jti') }]],
    refused: [
      ['an ID token', { claims: { azp: 'messaging-client', sid: 's', auth_time: NOW, ...gone('scope') } }, denial.type],
      ['an ID token with a nonce', { claims: { azp: 'messaging-client', nonce: 'n', ...gone('scope') } }, denial.type],
      ['a token without scopes', { claims: gone('scope') }, denial.type],
      ['another client', { claims: { aud: 'other-client' } }, denial.audience],
      ['another issuer', { claims: { iss: 'https://auth.example.com/other' } }, denial.issuer]
    ]
  },
  {
    name: 'PingAM',
    profile: pingAm({ issuer: 'https://am.example.com:443/am/oauth2/alpha', audience: 'web' }),
    metadata: 'https://am.example.com/am/oauth2/alpha/.well-known/openid-configuration',
    keys: 'https://am.example.com/am/oauth2/alpha/connect/jwk_uri',
    header: { typ: 'JWT' },
    claims: {
      iss: 'https://am.example.com:443/am/oauth2/alpha',
      aud: 'web',
      client_id: 'web',
      sub: 'u1',
      cts: 'OAUTH2_STATELESS_GRANT',
      auth_level: 0,
      auditTrackingId: 'a',
      tokenName: 'access_token',
      token_type: 'Bearer',
      authGrantId: 'g',
      nonce: '1234',
      nbf: NOW - 10,
      grant_type: 'authorization_code',
      scope: ['read'],
      auth_time: NOW - 20,
      realm: '/alpha',
      expires_in: 3600,
      jti: 'j'
    },
    access: { subject: 'u1', clientId: 'web', scopes: ['read'] },
    plain: denial.type,
    accepted: [['of an older version, without client_id', { claims: gone('client_id') }]],
    refused: [
      ['an ID token', { claims: { tokenName: 'id_token', tokenType: 'JWTToken', ...gone('scope') } }, denial.type],
      ['a refresh token', { claims: { tokenName: 'refresh_token' } }, denial.type],
      ['no kind', { claims: gone('tokenName') }, denial.type],
      ['another realm', { claims: { iss: 'https://am.example.com:443/am/oauth2/bravo' } }, denial.issuer],
      ['another client', { claims: { aud: 'other', client_id: 'other' } }, denial.audience]
    ]
  },
  {
    name: 'SAP XSUAA',
    profile: xsuaa({ url: 'https://acme.authentication.eu10.hana.ondemand.com', xsappname: 'orders!t1' }),
    keys: 'https://acme.authentication.eu10.hana.ondemand.com/token_keys',
    header: { typ: 'JWT', jku: 'https://evil.example/token_keys' },
    claims: {
      iss: 'https://acme.authentication.eu10.hana.ondemand.com/oauth/token',
      aud: ['orders!t1', 'openid'],
      cid: 'sb-orders!t1',
      azp: 'sb-orders!t1',
      grant_type: 'client_credentials',
      zid: 'z',
      scope: ['orders!t1.Read', 'read'],
      sub: 'sb-orders!t1',
      rev_sig: 'a',
      jti: 'j'
    },
    access: { subject: 'sb-orders!t1', clientId: 'sb-orders!t1', scopes: ['orders!t1.Read', 'read'] },
    plain: denial.type,
    refused: [
      ['an ID token, which has scopes', { claims: { aud: ['sb-orders!t1'], scope: ['openid'] } }, denial.audience],
      ['a refresh token', { claims: { granted_scopes: ['read'], jti: 'j-r', ...gone('scope') } }, denial.claim],
      ['another application', { claims: { aud: ['invoices!t1'] } }, denial.audience],
      [
        'another subdomain',
        { claims: { iss: 'https://other.authentication.eu10.hana.ondemand.com/oauth/token' } },
        denial.issuer
      ]
    ]
  },
  {
    name: 'WSO2',
    profile: wso2({ issuer: 'https://api.asgardeo.io/t/acme/oauth2/token', audience: 'client-9' }),
    metadata: 'https://api.asgardeo.io/t/acme/oauth2/token/.well-known/openid-configuration',
    keys: 'https://api.asgardeo.io/t/acme/oauth2/jwks',
    header: { typ: 'at+jwt', x5t: 'x' },
    claims: {
      iss: 'https://api.asgardeo.io/t/acme/oauth2/token',
      aud: 'client-9',
      azp: 'client-9',
      aut: 'APPLICATION_USER',
      sub: 'u1',
      nbf: NOW - 10,
      jti: 'j',
      org_id: 'o',
      scope: 'openid read'
    },
    access: { subject: 'u1', clientId: 'client-9', scopes: ['openid', 'read'] },
    plain: denial.claim,
    accepted: [['that has client_id', { claims: { client_id: 'client-9' } }]],
    refused: [
      ['an ID token', { header: { typ: 'JWT' }, claims: { at_hash: 'h', ...gone('scope', 'aut') } }, denial.type],
      ['another tenant', { claims: { iss: 'https://api.asgardeo.io/t/other/oauth2/token' } }, denial.issuer],
      ['another client', { claims: { aud: 'client-8', azp: 'client-8' } }, denial.audience]
    ]
  },
  {
    name: 'Curity',
    profile: curity({ issuer: 'https://id.example.com/oauth/v2/oauth-anonymous', audience: RESOURCE }),
    metadata: 'https://id.example.com/oauth/v2/oauth-anonymous/.well-known/openid-configuration',
    keys: 'https://id.example.com/oauth/v2/oauth-anonymous/jwks',
    header: { x5t: 'x' },
    claims: {
      iss: 'https://id.example.com/oauth/v2/oauth-anonymous',
      aud: RESOURCE,
      sub: 'u1',
      delegationId: 'd',
      nbf: NOW - 10,
      scope: 'openid read',
      purpose: 'access_token',
      jti: 'j'
    },
    access: { subject: 'u1', clientId: undefined, scopes: ['openid', 'read'] },
    plain: denial.type,
    accepted: [['that names its client', { claims: { client_id: 'c1' } }]],
    refused: [
      ['an ID token', { claims: { purpose: 'id', aud: 'c1', azp: 'c1', at_hash: 'h' } }, denial.type],
      ['an ID token for this audience', { claims: { purpose: 'id' } }, denial.type],
      ['a refresh token', { claims: { purpose: 'refresh_token' } }, denial.type],
      ['no purpose', { claims: gone('purpose') }, denial.type],
      ['a token whose scopes have no audience', { claims: { aud: 'c1' } }, denial.audience],
      ['another profile', { claims: { iss: 'https://id.example.com/oauth/v3/oauth-anonymous' } }, denial.issuer]
    ]
  },
  {
    name: 'Kubernetes with public discovery',
    profile: kubernetes({
      issuer: 'https://oidc.eks.eu-central-1.amazonaws.com/id/EX',
      audience: RESOURCE,
      subjects: ['system:serviceaccount:shop:web', 'system:serviceaccount:shop:worker']
    }),
    metadata: 'https://oidc.eks.eu-central-1.amazonaws.com/id/EX/.well-known/openid-configuration',
    keys: 'https://oidc.eks.eu-central-1.amazonaws.com/id/EX/keys',
    header: {},
    claims: {
      iss: 'https://oidc.eks.eu-central-1.amazonaws.com/id/EX',
      aud: [RESOURCE],
      sub: 'system:serviceaccount:shop:web',
      nbf: NOW - 10,
      jti: 'j',
      'kubernetes.io': { namespace: 'shop', pod: { name: 'p', uid: 'u' }, serviceaccount: { name: 'web', uid: 'u' } }
    },
    access: { subject: 'system:serviceaccount:shop:web', clientId: undefined, scopes: [] },
    plain: denial.type,
    accepted: [
      ['of the other service account', { claims: { sub: 'system:serviceaccount:shop:worker' } }],
      ['of a cluster that writes no jti', { claims: gone('jti') }]
    ],
    refused: [
      ['another namespace', { claims: { sub: 'system:serviceaccount:other:web' } }, denial.type],
      ['another service account', { claims: { sub: 'system:serviceaccount:shop:default' } }, denial.type],
      [
        'a service account whose name begins alike',
        { claims: { sub: 'system:serviceaccount:shop:web2' } },
        denial.type
      ],
      ['no subject', { claims: gone('sub') }, denial.type],
      ['a token for the API server', { claims: { aud: ['https://kubernetes.default.svc'] } }, denial.audience],
      ['a token from a Secret', { claims: { iss: 'kubernetes/serviceaccount', ...gone('aud') } }, denial.issuer],
      ['another cluster', { claims: { iss: 'https://oidc.eks.eu-central-1.amazonaws.com/id/OTHER' } }, denial.issuer]
    ]
  },
  {
    name: 'GitHub Actions by repository',
    profile: githubActions({ audience: RESOURCE, repositories: '74' }),
    metadata: 'https://token.actions.githubusercontent.com/.well-known/openid-configuration',
    keys: 'https://token.actions.githubusercontent.com/.well-known/jwks',
    header: { typ: 'JWT', x5t: 'x' },
    claims: {
      iss: 'https://token.actions.githubusercontent.com',
      aud: RESOURCE,
      sub: 'repo:acme/shop:environment:prod',
      ref: 'refs/heads/main',
      repository: 'acme/shop',
      repository_id: '74',
      repository_owner: 'acme',
      repository_owner_id: '65',
      environment: 'prod',
      workflow: 'deploy',
      job_workflow_ref: 'acme/shop/.github/workflows/deploy.yml@refs/heads/main',
      event_name: 'push',
      nbf: NOW - 10,
      jti: 'j'
    },
    access: { subject: 'repo:acme/shop:environment:prod', clientId: undefined, scopes: [] },
    plain: denial.type,
    refused: [
      ['another repository', { claims: { repository: 'acme/other', repository_id: '75' } }, denial.type],
      ['a repository of the same name and another ID', { claims: { repository_id: '76' } }, denial.type],
      ['an ID that is a number', { claims: { repository_id: 74 } }, denial.type],
      ['no ID', { claims: gone('repository_id') }, denial.type],
      ['the audience that jobs have by default', { claims: { aud: 'https://github.com/acme' } }, denial.audience],
      ['another issuer', { claims: { iss: 'https://token.actions.githubusercontent.com/acme' } }, denial.issuer]
    ]
  },
  {
    name: 'GitHub Actions by owner and repository',
    profile: githubActions({ audience: RESOURCE, owners: ['65'], repositories: ['74', '75'] }),
    metadata: 'https://token.actions.githubusercontent.com/.well-known/openid-configuration',
    keys: 'https://token.actions.githubusercontent.com/.well-known/jwks',
    header: { typ: 'JWT' },
    claims: {
      iss: 'https://token.actions.githubusercontent.com',
      aud: RESOURCE,
      sub: 'repo:acme/shop:ref:refs/heads/main',
      repository: 'acme/shop',
      repository_id: '75',
      repository_owner: 'acme',
      repository_owner_id: '65',
      jti: 'j'
    },
    access: { subject: 'repo:acme/shop:ref:refs/heads/main' },
    plain: denial.type,
    refused: [
      ['an owner of the same name and another ID', { claims: { repository_owner_id: '66' } }, denial.type],
      ['another repository of the owner', { claims: { repository_id: '77' } }, denial.type]
    ]
  }
]

describe.each(VENDORS.map((vendor) => [vendor.name, vendor] as const))('%s', (_name, vendor) => {
  const { profile } = vendor
  const token = ({ header, claims }: Flaw = {}, by = key): string =>
    signJws({ alg: 'RS256', kid: 'k1', ...vendor.header, ...header }, { ...times, ...vendor.claims, ...claims }, by)
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
    expect(await authorize(await start(), token(), ...noScope)).toMatchObject(vendor.access)
  })

  test(`answers the token of ${vendor.name} without its profile as listed`, async () => {
    const { issuer, audience } = profile
    const plain = { issuer, ...(audience && { audience }), jwks: { keys: [key.publicJwk] } }
    expect(await answer(await start(plain), token())).toEqual(unscoped(vendor.plain))
  })

  test.each(vendor.accepted ?? [])('accepts a token %s', async (_title, variant) => {
    expect(await answer(await start(), token(variant))).toEqual(granted)
  })

  test.each(vendor.refused)('refuses %s', async (_title, flaw, expected) => {
    expect(await answer(await start(), token(flaw))).toEqual(unscoped(expected))
  })

  test(`refuses a token of ${vendor.name} by another key, one that has ended, and an opaque one`, async () => {
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

test('reads no scopes where a vendor writes none, so a route with a scope refuses', async () => {
  const { profile, claims } = VENDORS.find(({ name }) => name === 'Supabase') as Vendor
  const api = bed.api({ issuers: [{ ...profile, jwksUri: undefined as never, jwks: { keys: [key.publicJwk] } }] })
  expect(await ask(api, signJws({ alg: 'RS256', kid: 'k1' }, { ...times, ...claims }, key), scope('read'))).toEqual(
    denial.scope
  )
})

describe('every profile starts', () => {
  const single = VENDORS.filter(
    ({ name }) => !['Clerk OAuth applications', 'GitHub Actions by repository'].includes(name)
  )

  test('beside all the others in one list', () => {
    expect(() => resourceServer({ resource: RESOURCE, issuers: single.map(({ profile }) => profile) })).not.toThrow()
  })
})

describe('parameters', () => {
  const subjects = 'system:serviceaccount:shop:web'

  test.each<readonly [problem: string, profile: () => unknown]>([
    ['`url` is "https://a.supabase.co/"', () => supabase({ url: 'https://a.supabase.co/' })],
    ['use https', () => supabase({ url: 'http://a.supabase.co' })],
    ['it must be a project ID', () => firebase({ projectId: 'a/b' })],
    ['`projectId` is missing', () => firebase({ projectId: undefined as never })],
    ['`origins` must be given, or `clientIds`', () => clerk({ issuer: 'https://clerk.example.com' } as never)],
    [
      'and not both',
      () => clerk({ issuer: 'https://clerk.example.com', origins: 'https://a.example', clientIds: 'c' } as never)
    ],
    ['`origins` is empty', () => clerk({ issuer: 'https://clerk.example.com', origins: [] })],
    ['an origin without path', () => clerk({ issuer: 'https://clerk.example.com', origins: 'https://a.example/' })],
    ['`clientIds` is empty', () => clerk({ issuer: 'https://clerk.example.com', clientIds: [] })],
    ['a host in lower case', () => workosAuthKit({ domain: 'https://a.authkit.app', audience: 'a' })],
    ['`audience` is empty', () => workosAuthKit({ domain: 'a.authkit.app', audience: [] })],
    ['contradicts `clientId`', () => workosAuthKit({ clientId: 'client_1', domain: 'a.authkit.app' } as never)],
    ['it must be the client ID of the environment', () => workosAuthKit({ clientId: '../x' })],
    ['without a path', () => logto({ endpoint: 'https://acme.logto.app/oidc', audience: 'a' })],
    ['login.salesforce.com is every org', () => salesforce({ issuer: 'https://login.salesforce.com', audience: 'a' })],
    [
      'it must be a tenant ID',
      () => fusionAuth({ url: 'https://auth.example.com', tenantId: 'default', applicationIds: 'a' })
    ],
    [
      '`applicationIds` is empty',
      () => fusionAuth({ url: 'https://auth.example.com', tenantId: GUID, applicationIds: [] })
    ],
    ['without a path', () => zitadel({ issuer: 'https://acme.zitadel.cloud/', audience: 'a' })],
    ['with its final slash', () => authentik({ issuer: 'https://a.example/application/o/x', audience: 'a' })],
    ['`audience` holds an empty name', () => hydra({ issuer: 'https://hydra.example.com/', audience: '' })],
    ['`issuer` is ""', () => springAuthorizationServer({ issuer: '', audience: 'a' })],
    ['the realm’s issuer', () => pingAm({ issuer: 'https://am.example.com/am', audience: 'a' })],
    ['sb-… is the client', () => xsuaa({ url: 'https://a.example', xsappname: 'sb-orders!t1' })],
    ['`xsappname` is ""', () => xsuaa({ url: 'https://a.example', xsappname: '' })],
    ['the issuer in the tokens', () => wso2({ issuer: 'https://api.asgardeo.io/t/acme', audience: 'a' })],
    ['`audience` is missing', () => curity({ issuer: 'https://id.example.com', audience: undefined as never })],
    ['`subjects` is empty', () => kubernetes({ audience: 'a', subjects: [] })],
    [
      '`subjects` is missing',
      // @ts-expect-error no subjects
      () => kubernetes({ audience: 'a' })
    ],
    ['one service account', () => kubernetes({ audience: 'a', subjects: 'system:serviceaccount:shop:*' })],
    ['one service account', () => kubernetes({ audience: 'a', subjects: 'shop/web' })],
    ['`audience` is empty', () => kubernetes({ audience: [], subjects })],
    [
      '`repositories` and `owners` are missing',
      // @ts-expect-error neither owners nor repositories
      () => githubActions({ audience: 'a' })
    ],
    ['`repositories` is empty', () => githubActions({ audience: 'a', repositories: [] })],
    ['`owners` is empty', () => githubActions({ audience: 'a', owners: [], repositories: '74' })],
    ['it must be the ID of a repository', () => githubActions({ audience: 'a', repositories: 'acme/shop' })],
    ['it must be the ID of a user or organization', () => githubActions({ audience: 'a', owners: 'acme' })],
    ['`repository` is not an option', () => githubActions({ audience: 'a', owners: '65', repository: 'a' } as never)]
  ])('a parameter that is no good is told at start: %s', (problem, profile) => {
    expect(profile).toThrow(TypeError)
    expect(profile).toThrow(problem)
  })
})
