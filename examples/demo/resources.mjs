// @ts-check
/** The APIs by the names under which the authorization server knows them (RFC 8707). */

/** One API, known to the authorization server under several identifiers, so that its tokens can be of every kind. */
export const RESOURCES = {
  RS256: 'https://orders.example/rs256',
  PS256: 'https://orders.example/ps256',
  ES256: 'https://orders.example/es256',
  EdDSA: 'https://orders.example/eddsa',
  opaque: 'https://orders.example/opaque',
  brief: 'https://orders.example/brief'
}
/** Somebody else's API, with the same authorization server. */
export const BILLING = 'https://billing.example'
/** Seconds that a token for {@link RESOURCES.brief} is good. */
export const BRIEF = 60

const scopes = ['orders:read', 'orders:write']

/** @returns {Map<string, import('./authorization-server.mjs').Resource>} */
export function createResources() {
  return new Map([
    [RESOURCES.RS256, { scopes, algorithm: 'RS256' }],
    [RESOURCES.PS256, { scopes, algorithm: 'PS256' }],
    [RESOURCES.ES256, { scopes, algorithm: 'ES256' }],
    [RESOURCES.EdDSA, { scopes, algorithm: 'EdDSA' }],
    [RESOURCES.opaque, { scopes, format: 'opaque' }],
    [RESOURCES.brief, { scopes, ttl: BRIEF }],
    [BILLING, { scopes: ['bills:read'] }]
  ])
}
