/** Tokens of every kind, fetched from the authorization server directly, past the proxy. */
import { once } from 'node:events'
import { type IncomingMessage, request as open } from 'node:http'
import { json } from 'node:stream/consumers'
import { SERVICE } from '../support/authorization-server.js'
import { createDpopKey, type DpopKey } from '../support/dpop.js'
import { OPAQUE, RESOURCE, SHORT } from './apps.js'

export interface Purse {
  readonly jwts: readonly string[]
  readonly opaques: readonly string[]
  readonly expired: string
  readonly otherAudience: string
  readonly dpop: { readonly key: DpopKey; readonly token: string }
  /** Another token of the same client, bound to another of its keys. */
  bindTo(key: DpopKey): Promise<string>
  /** Opaque tokens that every app has accepted, and that the authorization server then revoked. */
  readonly revoked: readonly string[]
  /** Tokens that this app has not seen. */
  newJwt(app: string): string
  newOpaque(app: string): string
}

/** @param fresh so many new tokens for each app */
export async function fillPurse(issuer: string, fresh: number): Promise<Purse> {
  const key = createDpopKey()
  const several = (count: number, resource: string): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, () => mint(issuer, resource)))
  const [jwts, opaques, revoked, newJwts, newOpaques] = await Promise.all([
    several(3, RESOURCE),
    several(3, OPAQUE),
    several(3, OPAQUE),
    several(fresh, RESOURCE),
    several(fresh, OPAQUE)
  ])
  return {
    jwts,
    opaques,
    revoked,
    expired: await mint(issuer, SHORT),
    otherAudience: await mint(issuer, 'https://other.example.com'),
    dpop: { key, token: await mint(issuer, RESOURCE, key) },
    bindTo: (another) => mint(issuer, RESOURCE, another),
    newJwt: dispenser(newJwts),
    newOpaque: dispenser(newOpaques)
  }
}

/** Each token once for each app. */
function dispenser(tokens: readonly string[]): (app: string) => string {
  const taken = new Map<string, number>()
  return (app) => {
    const index = taken.get(app) ?? 0
    const one = tokens[index]
    if (one === undefined) throw new Error('the purse is empty: fill it with more')
    taken.set(app, index + 1)
    return one
  }
}

/** RFC 6749 §4.4, for one resource, bound to a key or not. On a connection of its own: the server may have been away. */
async function mint(issuer: string, resource: string, key?: DpopKey): Promise<string> {
  const secret = [SERVICE.client_id, SERVICE.client_secret].map(encodeURIComponent).join(':')
  const url = `${issuer}/token`
  const proof = key?.proof({ method: 'POST', url, at: Math.floor(Date.now() / 1000) })
  const outgoing = open(url, {
    method: 'POST',
    agent: false,
    headers: {
      authorization: `Basic ${Buffer.from(secret).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
      ...(proof && { dpop: proof })
    }
  })
  outgoing.end(new URLSearchParams({ grant_type: 'client_credentials', resource, scope: 'read' }).toString())
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  const { access_token: token } = (await json(answer)) as { access_token?: string }
  if (token === undefined) throw new Error(`no token for ${resource}: ${answer.statusCode}`)
  return token
}
