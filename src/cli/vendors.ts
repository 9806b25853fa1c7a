/**
 * Recognises the authorization server of a vendor from the issuer's form and its public metadata, so that a command can
 * suggest the vendor's profile to a person. Each sign is a fact that the vendor's servers publish and others do not.
 *
 * The library itself never guesses: whatever chose the profile would choose which checks apply to a token. A person who
 * reads a suggestion and pastes it has decided.
 */

import type { IssuerOptions } from '../index.js'
import * as profiles from '../profiles/index.js'

type Document = Readonly<Record<string, unknown>>

/** The public facts about an authorization server. */
interface Facts {
  readonly issuer: string
  readonly url: URL
  readonly metadata: Document
}

/** Parameters of a profile. */
type Parameters = Readonly<Record<string, string | readonly string[]>>

export interface Vendor {
  readonly name: string
  /** The exported name of its profile; undefined if tokens of this server cannot be accepted. */
  readonly profile: string | undefined
  /** The parameters that the issuer tells. */
  readonly known: Parameters
  /** The parameters that only the operator knows: an example, and where it comes from. */
  readonly asked: Readonly<Record<string, readonly [example: string, origin: string]>>
  /** The parameters that are secrets, each with the environment variable that has it. */
  readonly secrets?: Readonly<Record<string, string>>
  /** True if the profile sets `introspection` itself. */
  readonly introspects?: true
  /** The facts by which it was recognised. */
  readonly sign: string
  /** The advice, where there is no profile. */
  readonly advice?: string
}

interface Entry extends Pick<Vendor, 'name' | 'profile' | 'asked' | 'secrets' | 'introspects' | 'advice'> {
  /** The sign in words; undefined for a server of another vendor. */
  readonly sign: (facts: Facts) => string | undefined
  readonly known?: (facts: Facts) => Parameters
}

const THIS_API = 'https://api.example.com'

/** The path of a member that is a URL; undefined for anything else. */
function pathOf({ metadata }: Facts, member: string): string | undefined {
  const value = metadata[member]
  return typeof value === 'string' && URL.canParse(value) ? new URL(value).pathname : undefined
}

/** The sign of a host that belongs to the vendor. */
function host(pattern: RegExp): Entry['sign'] {
  return ({ url }) => (pattern.test(url.hostname) ? `the host ${url.hostname}` : undefined)
}

/** The sign of endpoints whose paths end like this, all of them. */
function endpoints(paths: Readonly<Record<string, RegExp>>): Entry['sign'] {
  return (facts) => {
    const isLike = Object.entries(paths).every(([member, pattern]) => pattern.test(pathOf(facts, member) ?? ''))
    if (!isLike) return undefined
    return Object.keys(paths)
      .map((member) => `\`${member}\` ${pathOf(facts, member)}`)
      .join(', ')
  }
}

function anyOf(...signs: readonly Entry['sign'][]): Entry['sign'] {
  return (facts) => signs.map((sign) => sign(facts)).find((one) => one !== undefined)
}

const byIssuer = ({ issuer }: Facts): Parameters => ({ issuer })

const audience = (origin: string, example = THIS_API): Vendor['asked'] => ({ audience: [example, origin] })
const clients = audience('the clients that may call this API', 'your-client-id')

const ENTRIES: readonly Entry[] = [
  {
    name: 'Auth0',
    profile: 'auth0',
    sign: anyOf(host(/\.auth0\.com$/), (facts) =>
      pathOf(facts, 'mfa_challenge_endpoint') === '/mfa/challenge' && facts.url.pathname === '/'
        ? '`mfa_challenge_endpoint` /mfa/challenge'
        : undefined
    ),
    known: ({ url }) => ({ domain: url.host }),
    asked: audience('the identifier of the API in Auth0')
  },
  {
    name: 'Microsoft Entra ID',
    profile: 'entra',
    sign: ({ url }) =>
      /^(?:login\.microsoftonline\.com|sts\.windows\.net)$/.test(url.hostname) && tenantOf(url) !== undefined
        ? `the host ${url.hostname} and a tenant ID`
        : undefined,
    known: ({ url }) => ({ tenantIds: [tenantOf(url) ?? url.pathname] }),
    asked: audience('the application ID of the API, or its Application ID URI', 'api://your-application-id')
  },
  {
    name: 'Keycloak',
    profile: 'keycloak',
    sign: (facts) =>
      /\/realms\/[^/]+$/.test(facts.url.pathname)
        ? endpoints({ token_endpoint: /\/protocol\/openid-connect\/token$/ })(facts)
        : undefined,
    known: byIssuer,
    asked: audience('the value that the audience mapper adds')
  },
  {
    name: 'Amazon Cognito',
    profile: 'cognito',
    sign: ({ url }) =>
      /^cognito-idp\.[a-z\d-]+\.amazonaws\.com$/.test(url.hostname) ? `the host ${url.hostname}` : undefined,
    known: ({ url }) => ({ region: url.hostname.split('.')[1] ?? '', userPoolId: url.pathname.slice(1) }),
    asked: { clientIds: ['your-app-client-id', 'the app clients that may call this API'] }
  },
  {
    name: 'Okta',
    profile: 'okta',
    sign: (facts) =>
      /^\/oauth2\/[^/]+$/.test(facts.url.pathname)
        ? anyOf(
            OKTA_HOST,
            endpoints({ token_endpoint: /^\/oauth2\/[^/]+\/v1\/token$/, jwks_uri: /\/v1\/keys$/ })
          )(facts)
        : undefined,
    known: byIssuer,
    asked: audience('the Audience of this authorization server in Okta', 'api://default')
  },
  {
    name: 'Okta, the org authorization server',
    profile: undefined,
    sign: (facts) =>
      facts.url.pathname === '/'
        ? anyOf(
            OKTA_HOST,
            endpoints({ token_endpoint: /^\/oauth2\/v1\/token$/, jwks_uri: /^\/oauth2\/v1\/keys$/ })
          )(facts)
        : undefined,
    asked: {},
    advice:
      'Only Okta may verify its access tokens. Let clients use a custom authorization server, whose issuer ends with /oauth2/default or another name, and run doctor on that.'
  },
  {
    name: 'Google',
    profile: 'google',
    sign: host(/^accounts\.google\.com$/),
    asked: { clientIds: ['123-abc.apps.googleusercontent.com', 'your OAuth clients'] }
  },
  {
    name: 'Firebase',
    profile: 'firebase',
    sign: host(/^securetoken\.google\.com$/),
    known: ({ url }) => ({ projectId: url.pathname.slice(1) }),
    asked: {}
  },
  {
    name: 'Duende IdentityServer',
    profile: 'duende',
    sign: endpoints({
      jwks_uri: /\/\.well-known\/openid-configuration\/jwks$/,
      token_endpoint: /\/connect\/token$/,
      introspection_endpoint: /\/connect\/introspect$/
    }),
    known: byIssuer,
    asked: audience('the name of the ApiResource', 'orders')
  },
  {
    name: 'Zitadel',
    profile: 'zitadel',
    sign: anyOf(
      host(/\.zitadel\.cloud$/),
      endpoints({ jwks_uri: /^\/oauth\/v2\/keys$/, userinfo_endpoint: /^\/oidc\/v1\/userinfo$/ })
    ),
    known: byIssuer,
    asked: audience('the ID of the project', 'your-project-id')
  },
  {
    name: 'authentik',
    profile: 'authentik',
    sign: (facts) =>
      facts.url.pathname.endsWith('/')
        ? endpoints({ token_endpoint: /\/application\/o\/token\/$/, jwks_uri: /\/application\/o\/[^/]+\/jwks\/$/ })(
            facts
          )
        : undefined,
    known: byIssuer,
    asked: audience('the client ID of the provider', 'your-client-id')
  },
  {
    name: 'Logto',
    profile: 'logto',
    sign: (facts) =>
      facts.url.pathname === '/oidc'
        ? anyOf(host(/\.logto\.app$/), ({ metadata: { scopes_supported: scopes } }) =>
            Array.isArray(scopes) && scopes.some((one) => String(one).startsWith('urn:logto:'))
              ? '`scopes_supported` with urn:logto:…'
              : undefined
          )(facts)
        : undefined,
    known: ({ url }) => ({ endpoint: url.origin }),
    asked: audience('the API identifier in Logto')
  },
  {
    name: 'WorkOS AuthKit',
    profile: 'workosAuthKit',
    sign: host(/\.authkit\.app$/),
    known: ({ url }) => ({ domain: url.host }),
    asked: audience('the resource indicator of this API')
  },
  {
    name: 'WorkOS, sessions of your own application',
    profile: 'workosAuthKit',
    sign: ({ url }) =>
      url.hostname === 'api.workos.com' && /^\/user_management\/client_[\dA-Za-z]+$/.test(url.pathname)
        ? 'the issuer https://api.workos.com/user_management/…'
        : undefined,
    known: ({ url }) => ({ clientId: url.pathname.split('/')[2] ?? '' }),
    asked: {}
  },
  {
    name: 'Ory Hydra',
    profile: 'hydra',
    sign: anyOf(
      ({ metadata }) =>
        metadata['credentials_endpoint_draft_00'] === undefined ? undefined : '`credentials_endpoint_draft_00`',
      endpoints({ authorization_endpoint: /\/oauth2\/auth$/, end_session_endpoint: /\/oauth2\/sessions\/logout$/ })
    ),
    known: byIssuer,
    asked: audience('the value that clients request as `audience`')
  },
  {
    name: 'Spring Authorization Server',
    profile: 'springAuthorizationServer',
    // Others have /oauth2/jwks too: WSO2 and AuthKit with /oauth2/userinfo, and Spring with /userinfo or none.
    sign: (facts) =>
      /^(?:|.*(?<!\/oauth2)\/userinfo)$/.test(pathOf(facts, 'userinfo_endpoint') ?? '')
        ? endpoints({
            jwks_uri: /\/oauth2\/jwks$/,
            introspection_endpoint: /\/oauth2\/introspect$/,
            revocation_endpoint: /\/oauth2\/revoke$/
          })(facts)
        : undefined,
    known: byIssuer,
    asked: clients
  },
  {
    name: 'Curity',
    profile: 'curity',
    sign: endpoints({ token_endpoint: /\/oauth-token$/, jwks_uri: /\/oauth-anonymous\/jwks$/ }),
    known: byIssuer,
    asked: audience('the audience of the API’s scopes')
  },
  {
    name: 'PingAM (ForgeRock AM)',
    profile: 'pingAm',
    sign: endpoints({ token_endpoint: /\/oauth2\/(?:.+\/)?access_token$/, jwks_uri: /\/connect\/jwk_uri$/ }),
    known: byIssuer,
    asked: clients
  },
  {
    name: 'WSO2',
    profile: 'wso2',
    sign: (facts) =>
      facts.url.pathname.endsWith('/oauth2/token')
        ? endpoints({ token_endpoint: /\/oauth2\/token$/, jwks_uri: /\/oauth2\/jwks$/ })(facts)
        : undefined,
    known: byIssuer,
    asked: clients
  },
  {
    name: 'FusionAuth',
    profile: 'fusionAuth',
    sign: endpoints({
      jwks_uri: /^\/\.well-known\/jwks\.json$/,
      device_authorization_endpoint: /^\/oauth2\/device_authorize$/,
      userinfo_endpoint: /^\/oauth2\/userinfo$/
    }),
    known: ({ url }) => ({ url: url.origin }),
    asked: {
      tenantId: ['00000000-0000-0000-0000-000000000000', 'the ID of the tenant'],
      applicationIds: ['your-application-id', 'the applications that may call this API']
    }
  },
  {
    name: 'SAP XSUAA',
    profile: 'xsuaa',
    sign: host(/\.authentication\.[a-z\d.-]*hana\.ondemand\.com$/),
    known: ({ url }) => ({ url: url.origin }),
    asked: { xsappname: ['orders!t1', '`xsappname` of the service binding'] }
  },
  {
    name: 'Salesforce',
    profile: 'salesforce',
    sign: host(/\.my\.(?:salesforce|site)\.com$/),
    known: byIssuer,
    asked: audience('the audience that the app adds to `aud`')
  },
  {
    name: 'Telnyx',
    profile: 'telnyx',
    sign: host(/^api\.telnyx\.com$/),
    asked: {},
    secrets: { apiKey: 'TELNYX_API_KEY' },
    introspects: true
  },
  {
    name: 'Supabase',
    profile: 'supabase',
    sign: ({ url }) =>
      url.hostname.endsWith('.supabase.co') && url.pathname === '/auth/v1' ? `the host ${url.hostname}` : undefined,
    known: ({ url }) => ({ url: url.origin }),
    asked: {}
  },
  {
    name: 'Clerk',
    profile: 'clerk',
    sign: host(/\.clerk\.accounts\.dev$/),
    known: byIssuer,
    asked: { origins: ['https://app.example.com', 'the origins of your frontends'] }
  },
  {
    name: 'GitHub Actions',
    profile: 'githubActions',
    sign: host(/^token\.actions\.githubusercontent\.com$/),
    asked: {
      ...audience('the audience that the job requests'),
      repositories: ['74', '`repository_id` of the repositories that may call']
    }
  },
  {
    name: 'Kubernetes',
    profile: 'kubernetes',
    sign: ({ metadata: { authorization_endpoint: endpoint } }) =>
      endpoint === 'urn:kubernetes:programmatic_authorization' ? `\`authorization_endpoint\` ${endpoint}` : undefined,
    known: byIssuer,
    asked: {
      ...audience('the `audience` of the projected volume'),
      subjects: ['system:serviceaccount:shop:web', 'the service accounts that may call']
    }
  }
]

const OKTA_HOST = host(/\.(?:okta|oktapreview|okta-emea)\.com$/)

/** The tenant ID in the path of an Entra issuer. */
function tenantOf({ pathname }: URL): string | undefined {
  return /^\/([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})(?:\/v2\.0|\/)?$/.exec(pathname)?.[1]
}

/**
 * Recognises the vendor of an authorization server.
 *
 * @param issuer the issuer identifier
 * @param metadata its metadata; without them, only servers with a host or path of their own are recognised
 * @returns undefined for an unknown server, and for one with the signs of several vendors
 */
export function recognise(issuer: string, metadata: Document = {}): Vendor | undefined {
  if (!URL.canParse(issuer)) return undefined
  const facts: Facts = { issuer, url: new URL(issuer), metadata }
  const [found, other] = ENTRIES.flatMap(({ sign, known, ...entry }): readonly Vendor[] => {
    const told = sign(facts)
    return told === undefined ? [] : [{ ...entry, sign: told, known: known?.(facts) ?? {} }]
  })
  return other === undefined ? found : undefined
}

/** Presets for a whole resource server, which are not for one issuer. */
const PRESETS: readonly string[] = ['fapi2', 'mcp']

/** The names of the profiles. */
export const PROFILE_NAMES: readonly string[] = Object.keys(profiles).filter((name) => !PRESETS.includes(name))

/**
 * The parameters of a profile that an issuer tells, the environment variables of its secrets, and the names of its other
 * parameters.
 *
 * @param name one of {@link PROFILE_NAMES}
 */
export function profileParameters(
  name: string,
  issuer: string
): {
  readonly known: Parameters
  readonly secrets: Readonly<Record<string, string>>
  readonly accepts: readonly string[]
} {
  const facts = { issuer, url: new URL(issuer), metadata: {} }
  const entries = ENTRIES.filter(({ profile }) => profile === name)
  const entry = entries.find(({ sign }) => sign(facts) !== undefined) ?? entries[0]
  const known = entry?.known?.(facts) ?? {}
  const accepts = entries.flatMap(({ asked }) => Object.keys(asked))
  return { known, secrets: entry?.secrets ?? {}, accepts }
}

/**
 * Calls a profile.
 *
 * @throws {TypeError} listing every parameter that is missing or wrong
 */
export function callProfile(name: string, parameters: Parameters): readonly IssuerOptions[] {
  const profile = (profiles as unknown as Record<string, (options: Parameters) => IssuerOptions>)[name]
  return [profile?.(parameters) ?? []].flat()
}
