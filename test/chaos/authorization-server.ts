/** The authorization server of the demo (oidc-provider), with three ways to ask for tokens of one API. */
import { randomBytes } from 'node:crypto'
import { startAuthorizationServer } from '../support/authorization-server.js'
import { OPAQUE, RESOURCE, SHORT } from './apps.js'

export interface Tokens {
  readonly issuer: string
  /** As an administrator would. */
  revoke(token: string): Promise<void>
  stop(): Promise<void>
  start(): Promise<void>
  /** New keys sign, and the old ones are published no more. */
  replaceKeys(): Promise<void>
  close(): Promise<void>
}

/** Another client than the one whose tokens are in most requests. */
export const NEIGHBOUR = { client_id: 'neighbour', client_secret: randomBytes(24).toString('base64url') }

/** Longer than all the time that the tests let pass. */
const TTL = 14 * 86_400

export async function createTokensServer(): Promise<Tokens> {
  const scopes = ['read']
  const server = await startAuthorizationServer({
    signingAlgorithms: ['ES256'],
    clients: [{ ...NEIGHBOUR, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
    resources: new Map([
      [RESOURCE, { scopes, ttl: TTL }],
      ['https://other.example.com', { scopes, ttl: TTL }],
      [OPAQUE, { scopes, ttl: TTL, format: 'opaque' }],
      [SHORT, { scopes, ttl: 1 }]
    ])
  })
  return {
    issuer: server.issuer,
    revoke: (token) => server.revoke(token),
    stop: () => server.stop(),
    start: () => server.start(),
    replaceKeys: async () => {
      await server.rotate('publish')
      await server.rotate('switch')
      await server.rotate('retire')
    },
    close: () => server.close()
  }
}
