/** A target of issuers that are looked up. An input is the `iss` of a token, which each of several resolvers is asked about. */
import { Agent } from 'undici'
import { expect } from 'vitest'
import { type IssuerOptions, type IssuerResolver, resourceServer, scope } from '../../src/index.js'
import { base64url } from '../support/issuer.js'
import { requestWith, type Target, verdictOf } from './target.js'
import { NOW, RESOURCE } from './world.js'

const ORIGIN = 'https://login.example.com'
const PREFIX = `${ORIGIN}/t/`

/** What careless applications write: each makes a place of a text that nobody has verified. */
const RESOLVERS: Readonly<Record<string, (iss: string) => string | IssuerOptions | undefined>> = {
  'hands on': (iss) => iss,
  prefix: (iss) => (iss.startsWith(PREFIX) ? iss : undefined),
  appends: (iss) => ({ issuer: PREFIX + iss, acceptedIssuers: [iss] }),
  jwksUri: (iss) => ({ issuer: ORIGIN, acceptedIssuers: [iss], jwksUri: `${PREFIX}${iss}/jwks` }),
  metadataUrl: (iss) => ({ issuer: ORIGIN, acceptedIssuers: [iss], metadataUrl: PREFIX + iss })
}

export function resolvers(): Target {
  /** Every path that was asked, without its query. */
  const asked: string[] = []
  const agent = new Agent()
  // Nothing listens there: what counts is what is asked, and an outage is the answer to it.
  agent.dispatch = ({ path }) => {
    asked.push(path.replace(/[?].*$/s, ''))
    throw new Error('not reached')
  }
  return {
    run: async (input) => {
      const token = [{ typ: 'at+jwt', alg: 'ES256', kid: 'k' }, claims(input)].map((part) =>
        base64url(JSON.stringify(part))
      )
      const request = requestWith({ authorization: [`Bearer ${token.join('.')}.${'A'.repeat(86)}`] })
      const verdicts: string[] = []
      for (const [name, resolve] of Object.entries(RESOLVERS)) {
        asked.length = 0
        const given: string[] = []
        const issuers: IssuerResolver = (iss = '') => {
          given.push(iss)
          return resolve(iss)
        }
        const http = { dispatcher: agent, deadline: 0.01, publicAddressesOnly: false }
        const server = resourceServer({ resource: RESOURCE, issuers, now: () => NOW, http })
        // 503: a place was asked. Never a 500, which a stranger could cause.
        const verdict = await verdictOf(() => server.authorize(request, scope('read')), [401, 503])
        await server.close()
        requireWritten(asked, input, name)
        for (const iss of given) expect(isWritten(iss), `${name} was given ${iss}`).toBe(true)
        verdicts.push(`${name} ${verdict}`)
      }
      return verdicts.some((one) => one.endsWith('_unavailable')) ? 'accepted' : 'issuer'
    },
    close: () => agent.close()
  }
}

const claims = (iss: string): object => ({
  iss,
  aud: RESOURCE,
  sub: 'u',
  client_id: 'c',
  iat: NOW,
  exp: NOW + 300,
  jti: 't'
})

/** A second reading of the rule: of a text that means a URL, each segment is what it says, and no dots. */
function isWritten(text: string): boolean {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) return true
  const [, path = ''] = /^https?:\/\/[^/?#]+([^?#]*)/i.exec(text) ?? []
  return (path || '/') === new URL(text).pathname && segmentsOf(path).every((one) => !/^\.{1,2}(;|$)|[/\\]/.test(one))
}

/** Decoded until nothing changes, as the worst of servers does. */
function segmentsOf(path: string): readonly string[] {
  return path.split('/').map((segment) => {
    let text = segment
    for (let before = ''; before !== text && /%[\da-f]{2}/i.test(text); ) {
      before = text
      text = text.replace(/%([2357][\da-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    }
    return text
  })
}

/** No path is asked that is not, as it is, in what was written, and none that climbs. */
function requireWritten(paths: readonly string[], input: string, name: string): void {
  for (const path of paths) {
    const own = path.replace(/\/\.well-known\/(?:oauth-authorization-server|openid-configuration)/, '')
    expect(
      segmentsOf(own).every((one) => !/^\.{1,2}(;|$)|[/\\]/.test(one)),
      `${name} asked ${path}`
    ).toBe(true)
    const written = `/t/${input}/jwks /t/${input} ${input}/`
    expect(written, `${name} asked ${path}`).toContain(own.replace(/\/$/, ''))
  }
}
