/**
 * What every adapter promises about client certificates (RFC 8705 §3), asked of each over real TLS; and about those that
 * a proxy tells of (RFC 9440), which are the same over plain HTTP.
 */
import { hash, X509Certificate } from 'node:crypto'
import type { ConnectionOptions, TlsOptions } from 'node:tls'
import { Client } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  authentication,
  optional,
  type Requirement,
  type ResourceServer,
  type ResourceServerOptions,
  resourceServer,
  scope
} from '../../src/index.js'
import {
  type CertificateAndKey,
  createCertificateAuthority,
  createSelfSignedCertificate
} from '../support/certificates.js'
import { type Clock, createClock, startIssuer, type TestIssuer } from '../support/issuer.js'
import { type Adapter, type Plan, RESOURCE, type Route } from './contract.js'
import { type Lines, type Reply, type Served, send } from './wire.js'

const METADATA = `resource_metadata="${RESOURCE}/.well-known/oauth-protected-resource"`
const DESCRIPTION = 'The access token is bound to a different client certificate'
const BODY = JSON.stringify({ error: 'invalid_token', error_description: DESCRIPTION })
const CHALLENGE = `Bearer error="invalid_token", error_description="${DESCRIPTION}", scope="read", ${METADATA}`

const authority = createCertificateAuthority()
const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })
const client = authority.issue({ commonName: 'client', client: true })
const other = authority.issue({ commonName: 'other', client: true })
const selfSigned = createSelfSignedCertificate('client')

/** RFC 8705 §6.2: whoever vouches for it, the client's certificate is asked for and taken. */
const TLS: TlsOptions = { ...own, requestCert: true, rejectUnauthorized: false }
const connecting = (one?: CertificateAndKey): ConnectionOptions => ({ ca: authority.cert, ...one })

const derOf = ({ cert }: CertificateAndKey): Buffer => new X509Certificate(cert).raw
const boundTo = (one: CertificateAndKey): Record<string, unknown> => ({
  cnf: { 'x5t#S256': hash('sha256', derOf(one), 'base64url') }
})

/** Runs the contract for one adapter. */
export function describeMutualTls(adapter: Adapter): void {
  describe(`${adapter.name}: client certificates`, () => {
    let clock: Clock
    let issuer: TestIssuer
    const started: { close(): Promise<unknown> }[] = []

    beforeAll(async () => {
      clock = createClock()
      issuer = await startIssuer({ now: clock.now })
    })
    afterAll(async () => {
      await Promise.all(started.map((one) => one.close()))
      await issuer.close()
    })

    const create = (options: Partial<ResourceServerOptions> = {}): ResourceServer => {
      const introspection = { clientId: 'rs', auth: (): void => {} }
      const issuers = [{ issuer: issuer.issuer, introspection }]
      const api = resourceServer({ resource: RESOURCE, issuers, now: clock.now, ...options })
      started.push(api)
      return api
    }
    const route = (requires?: readonly Requirement[], path = '/items'): Route => ({
      path,
      ...(requires && { requires }),
      answer: (call) => ({ by: call.getOptionalAuth()?.confirmedBy ?? null })
    })
    async function serve(plan: Plan): Promise<Served> {
      const served = await adapter.serve({ errors: 'json', ...plan })
      started.push(served)
      return served
    }
    const bearer = (claims: Record<string, unknown> = {}): Lines => [
      ['Authorization', `Bearer ${issuer.token({ claims })}`]
    ]
    const get = (port: number, headers: Lines, one?: CertificateAndKey, path = '/items'): Promise<Reply> =>
      send(port, { path, headers }, connecting(one))

    function expectGranted(reply: Reply, by: readonly string[]): void {
      expect([reply.status, JSON.parse(reply.body)]).toEqual([200, { by }])
    }
    function expectRefused(reply: Reply, challenge = CHALLENGE): void {
      expect([reply.status, reply.values('www-authenticate'), reply.values('cache-control'), reply.body]).toEqual([
        401,
        [challenge],
        ['no-store'],
        BODY
      ])
    }

    describe('on the connection', () => {
      let port: number
      beforeAll(async () => {
        const routes = [route([scope('read')]), route([], '/any'), route([optional, scope('read')], '/some')]
        port = (await serve({ api: create(), tls: TLS, routes })).port
      })

      test('MTL-01 MTL-10 DEN-15 (RFC 8705 §3): a bound token is of use with its certificate, and with no other or none', async () => {
        const token = bearer(boundTo(client))
        expectGranted(await get(port, token, client), ['certificate'])
        expectRefused(await get(port, token, other))
        expectRefused(await get(port, token))
        expectGranted(await get(port, token, client), ['certificate'])
      })

      test('MTL-04 (RFC 8705 §6.2): a certificate that nobody vouches for is as good', async () => {
        expectGranted(await get(port, bearer(boundTo(selfSigned)), selfSigned), ['certificate'])
        expectRefused(await get(port, bearer(boundTo(selfSigned)), client))
      })

      test('MTL-03 (RFC 8705 §3): a route that asks for nothing, and one that is optional, enforce it too', async () => {
        const bare = CHALLENGE.replace('scope="read", ', '')
        expectRefused(await get(port, bearer(boundTo(client)), other, '/any'), bare)
        expectGranted(await get(port, bearer(boundTo(client)), client, '/any'), ['certificate'])
        expectRefused(await get(port, bearer(boundTo(client)), undefined, '/some'))
        expectGranted(await get(port, bearer(boundTo(client)), client, '/some'), ['certificate'])
      })

      test('MTL-01 INT-13 (RFC 8705 §3.2): an introspected token is bound alike', async () => {
        const token: Lines = [['Authorization', `Bearer ${issuer.opaque(boundTo(client))}`]]
        expectGranted(await get(port, token, client), ['certificate'])
        expectRefused(await get(port, token, other))
        expectGranted(await get(port, token, client), ['certificate'])
      })

      test('an unbound token is a bearer token, whatever certificate is shown', async () => {
        expectGranted(await get(port, bearer(), client), [])
        expectGranted(await get(port, bearer()), [])
      })

      test('MTL-05 MTL-07 (RFC 9440 §4): what a field says of a certificate is not believed', async () => {
        const value = derOf(client).toString('base64')
        const fields: Lines = [
          ['Client-Cert', `:${value}:`],
          ['X-Forwarded-Client-Cert', `Cert="${encodeURIComponent(client.cert)}"`],
          ['X-SSL-Cert', encodeURIComponent(client.cert)]
        ]
        expectRefused(await get(port, [...bearer(boundTo(client)), ...fields]))
        expectRefused(await get(port, [...bearer(boundTo(client)), ...fields], other))
      })

      test('MTL-01: on a connection that stays open every request has the certificate, and only it', async () => {
        const connect = { ca: authority.cert, ...client }
        const pool = new Client(`https://localhost:${port}`, { connect, pipelining: 1 })
        onTestFinished(() => pool.close())
        const ask = async (claims: Record<string, unknown>): Promise<number> => {
          const authorization = String(bearer(claims)[0]?.[1])
          const { statusCode, body } = await pool.request({ method: 'GET', path: '/items', headers: { authorization } })
          await body.dump()
          return statusCode
        }
        const statuses: number[] = []
        for (const claims of [boundTo(client), {}, boundTo(other), boundTo(client)]) statuses.push(await ask(claims))
        expect(statuses).toEqual([200, 200, 401, 200])
      })
    })

    describe('required', () => {
      test('MTL-02 DEN-15: requireSenderConstrained certificate refuses a token that is bound to none, with the challenge', async () => {
        const { port } = await serve({
          api: create({ requireSenderConstrained: 'certificate' }),
          tls: TLS,
          routes: [route([scope('read')])]
        })
        expectRefused(await get(port, bearer(), client))
        expectRefused(await get(port, bearer()))
        expectGranted(await get(port, bearer(boundTo(client)), client), ['certificate'])
      })

      test('DEF-17 DEN-15: requireSenderConstrained refuses a token that is bound to nothing', async () => {
        const { port } = await serve({
          api: create({ requireSenderConstrained: true }),
          tls: TLS,
          routes: [route([scope('read')])]
        })
        expectRefused(await get(port, bearer(), client))
        expectGranted(await get(port, bearer(boundTo(client)), client), ['certificate'])
      })
    })

    test('MTL-09: a server that asks for no certificate, and one without TLS, has none', async () => {
      const api = create()
      const plan = { api, routes: [route([scope('read')])] }
      const notAsking = await serve({ ...plan, tls: own })
      expectRefused(await get(notAsking.port, bearer(boundTo(client)), client))
      const plain = await serve(plan)
      expectRefused(await send(plain.port, { path: '/items', headers: bearer(boundTo(client)) }))
    })

    describe('told by a proxy', () => {
      const value = `:${derOf(client).toString('base64')}:`
      const proxies = (trustedProxies: string[], more: object = {}): ResourceServer =>
        create({ clientCertificate: { trustedProxies, ...more } })
      const ask = (port: number, ...fields: Lines): Promise<Reply> =>
        send(port, { path: '/items', headers: [...bearer(boundTo(client)), ...fields] })

      test('MTL-05 MTL-08 (RFC 9440 §2.4): a trusted proxy’s Client-Cert is the certificate, and the answer varies by it', async () => {
        const { port } = await serve({ api: proxies(['127.0.0.1']), routes: [route([scope('read')])] })
        const reply = await ask(port, ['Client-Cert', value])
        expectGranted(reply, ['certificate'])
        expect(reply.values('vary')).toEqual(['Client-Cert'])
        const wrong = await ask(port, ['Client-Cert', `:${derOf(other).toString('base64')}:`])
        expectRefused(wrong)
        expectRefused(await ask(port))
      })

      test('MTL-08: what varies by something else keeps doing so, once', async () => {
        const { port } = await serve({
          api: proxies(['127.0.0.1']),
          ...(!adapter.isFunction && { prior: [['Vary', 'Origin']] as Lines }),
          whole: [optional],
          routes: [route([optional, scope('read')])]
        })
        const reply = await ask(port, ['Client-Cert', value])
        const expected = adapter.isFunction
          ? ['Authorization', 'Client-Cert']
          : ['Origin', 'Authorization', 'Client-Cert']
        const [vary = ''] = reply.values('vary')
        expect(vary.split(', ')).toEqual(expect.arrayContaining(expected))
        expect(new Set(vary.split(', ')).size).toBe(vary.split(', ').length)
      })

      test('MTL-08: where the certificate made no difference the answer does not vary by it', async () => {
        const { port } = await serve({ api: proxies(['127.0.0.1']), routes: [route([scope('read')])] })
        const reply = await send(port, { path: '/items', headers: [...bearer(), ['Client-Cert', value]] })
        expect([reply.status, reply.values('vary')]).toEqual([200, []])
      })

      test('MTL-06 (RFC 9440 §2.2): two lines, a list and a parameter are none', async () => {
        const { port } = await serve({ api: proxies(['127.0.0.1']), routes: [route([scope('read')])] })
        expectRefused(await ask(port, ['Client-Cert', value], ['client-cert', value]))
        expectRefused(await ask(port, ['Client-Cert', `${value}, ${value}`]))
        expectRefused(await ask(port, ['Client-Cert', `${value};a`]))
        expectRefused(await ask(port, ['Client-Cert', '']))
      })

      test('MTL-07 (RFC 9440 §4): from an address that is not listed the field is ignored', async () => {
        for (const list of [['127.0.0.2'], ['::1'], ['10.0.0.0/8', '2001:db8::/32']]) {
          const { port } = await serve({ api: proxies(list), routes: [route([scope('read')])] })
          expectRefused(await ask(port, ['Client-Cert', value], ['X-Forwarded-For', list[0] ?? '']))
        }
      })

      test('MTL-05: the proxy’s own certificate on the connection is not the client’s', async () => {
        const { port } = await serve({ api: proxies(['127.0.0.1']), tls: TLS, routes: [route([scope('read')])] })
        expectRefused(await get(port, bearer(boundTo(client)), client))
        const told: Lines = [...bearer(boundTo(client)), ['Client-Cert', value]]
        expectGranted(await get(port, told, other), ['certificate'])
      })

      test('MTL-05: a field of another name is read by the user’s own parser, and a failure of that is none', async () => {
        const api = proxies(['127.0.0.0/8'], {
          field: 'X-Cert',
          parse: (text: string) => Buffer.from(text, 'hex')
        })
        const { port } = await serve({ api, routes: [route([scope('read')])] })
        const reply = await ask(port, ['X-Cert', derOf(client).toString('hex')])
        expectGranted(reply, ['certificate'])
        expect(reply.values('vary')).toEqual(['X-Cert'])
        expectRefused(await ask(port, ['Client-Cert', value]))
        const failing = proxies(['127.0.0.1'], {
          parse: () => {
            throw new RangeError('a bug')
          }
        })
        const broken = await serve({ api: failing, routes: [route([scope('read')])] })
        expectRefused(await ask(broken.port, ['Client-Cert', value]))
      })

      test('MTL-08: a refusal that comes later says nothing of the certificate, and is not stored', async () => {
        const { port } = await serve({
          api: proxies(['127.0.0.1']),
          routes: [route([scope('read'), authentication({ acr: 'mfa' })])]
        })
        const reply = await ask(port, ['Client-Cert', value])
        expect([reply.status, reply.values('cache-control')]).toEqual([401, ['no-store']])
        expect(reply.values('www-authenticate')[0]).toContain('insufficient_user_authentication')
      })
    })
  })
}
