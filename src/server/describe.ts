/**
 * The effective settings as plain JSON, for reviews and for the result of a preset or profile. Secrets, keys and
 * functions are named, never shown.
 */
import type { IntrospectionSettings, IssuerSettings } from '../issuer/settings.js'
import type { Settings } from './settings.js'

/** @param metadataUrl URL of the RFC 9728 document; undefined where none is published */
export function describe(settings: Settings, metadataUrl: string | undefined): Readonly<Record<string, unknown>> {
  const { resource, issuers, scopes, roles, impliedScopes, checks, clockTolerance, realm, rejectQueryToken, http } =
    settings
  const { accepted, advertised, dpop, publicUrls, certificate, requireBound } = settings.sender
  return plain({
    resource,
    metadataUrl,
    realm,
    clockTolerance,
    legacyClients: settings.legacyClients,
    rejectQueryToken,
    callbackTimeout: settings.callbackTimeout,
    log: settings.log && 'process warnings',
    scopes: scopes && [...scopes],
    roles: roles && [...roles],
    scopeHierarchy: Object.fromEntries(impliedScopes),
    checks: checks.length,
    schemes: { accepted, advertised },
    requireBound: requireBound ?? 'nothing',
    publicUrls,
    dpop: accepted.includes('DPoP') && {
      algorithms: dpop.algorithms,
      proofLifetime: dpop.proofLifetime,
      nonces: dpop.nonces,
      nonceSecrets: dpop.nonceSecrets.length
    },
    clientCertificate: certificate.field === undefined ? 'TLS connection' : { field: certificate.field },
    revocation: settings.revocation,
    shared: settings.shared && (settings.shared.hasLog ? 'a store and a log' : 'a store'),
    decryptionKeys: settings.decryptionKeys.map(({ kid, algorithm }) => ({ kid, algorithm })),
    http: { ...http, dispatcher: http.dispatcher ? 'yours' : 'default', proxy: describeProxy(http.proxy) },
    issuers: typeof issuers === 'function' ? 'a function' : issuers.map(describeIssuer)
  })
}

/** The proxy's origin, without user name and password. */
function describeProxy(proxy: string | undefined): string {
  return proxy === undefined || proxy === 'environment' ? (proxy ?? 'none') : new URL(proxy).origin
}

function describeIssuer({
  jwks,
  jwksAuth,
  introspection,
  label: _label,
  insecureHosts: _insecureHosts,
  ...settings
}: IssuerSettings): Readonly<Record<string, unknown>> {
  return {
    ...settings,
    audience: settings.audience === null ? 'not checked' : settings.audience,
    jwks: jwks && `${jwks.size} keys`,
    jwksAuth: typeof jwksAuth === 'function' ? 'a function' : jwksAuth,
    introspection: introspection && describeIntrospection(introspection)
  }
}

function describeIntrospection({
  auth: _auth,
  dialect,
  ...settings
}: IntrospectionSettings): Readonly<Record<string, unknown>> {
  return { ...settings, auth: 'a function', dialect: dialect ? 'its own' : 'RFC 7662' }
}

/** Sets become lists, maps become objects, undefined members are left out. */
function plain(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const text = JSON.stringify(value, (_name, member: unknown) => {
    if (member instanceof Set) return [...member]
    return member instanceof Map ? Object.fromEntries(member) : member
  })
  return JSON.parse(text) as Readonly<Record<string, unknown>>
}
