/** The rules about certificate-bound access tokens: RFC 8705 §3, at the API, and on TLS connections of Node's own making. */
import { hash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectHttp2, createSecureServer, type ServerHttp2Session } from 'node:http2'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket, type TlsOptions } from 'node:tls'
import { getRequestListener } from '@hono/node-server'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { Agent, request as undiciRequest } from 'undici'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { protect } from '../../adapters/express.js'
import resourceServerPlugin from '../../adapters/fastify.js'
import { FetchRequest } from '../../adapters/fetch.js'
import { protect as protectHono } from '../../adapters/hono.js'
import { protect as protectKoa } from '../../adapters/koa.js'
import { NodeRequest } from '../../adapters/shared/node-request.js'
import { type Access, type ResourceRequest, type ResourceServer, ResourceServerError, scope } from '../../src/index.js'
import { send } from '../adapters/wire.js'
import {
  type CertificateAndKey,
  createCertificateAuthority,
  createSelfSignedCertificate
} from '../support/certificates.js'
import { ALGS, createDpopKey } from '../support/dpop.js'
import { createBed, introspecting } from '../support/exchange.js'
import {
  accessToken,
  api,
  bearer,
  get,
  granted,
  type Outcome,
  outcome,
  RESOURCE_METADATA,
  refused
} from '../support/refusals.js'

const bed = createBed()
const server = api()
const METADATA = `resource_metadata="${RESOURCE_METADATA}"`
const BOUND_ELSEWHERE = 'The access token is bound to a different client certificate'

const authority = createCertificateAuthority()
const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })
const client = authority.issue({ commonName: 'client', client: true })
const other = authority.issue({ commonName: 'other', client: true })

const derOf = ({ cert }: { readonly cert: string }): Buffer => new X509Certificate(cert).raw
const thumbprintOf = (one: { readonly cert: string }): string => hash('sha256', derOf(one), 'base64url')
const bound = (cnf: Record<string, unknown> = { 'x5t#S256': thumbprintOf(client) }): string =>
  accessToken({ claims: { cnf } })

/** A request on a connection with this certificate. */
function shown(request: ResourceRequest, one?: { readonly cert: string }): ResourceRequest {
  return { ...request, certificate: () => one && derOf(one) }
}

const denied = refused('DEN-15', 'certificate_binding')

describe('RFC 8705 appendix A', () => {
  const example = {
    cert: `-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----`
  }
  const cnf = { 'x5t#S256': 'A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0' }

  test('MTL-01 (RFC 8705 §3.1, appendix A): the example certificate confirms the example cnf, though it has expired', async () => {
    expect(await outcome(server, shown(bearer(bound(cnf)), example))).toEqual(granted)
    expect(await outcome(server, shown(bearer(bound(cnf)), client))).toEqual(denied)
  })
})

describe('MTL-01 (RFC 8705 §3): the token', () => {
  test('MTL-01 DEN-15 (RFC 8705 §3): accepts a bound token with its certificate, and refuses it with another one and with none', async () => {
    expect(await outcome(server, shown(bearer(bound()), client))).toEqual(granted)
    expect(await outcome(server, shown(bearer(bound()), other))).toEqual(denied)
    expect(await outcome(server, shown(bearer(bound())))).toEqual(denied)
    expect(await outcome(server, bearer(bound()))).toEqual(denied)
  })

  test('MTL-01: checks the certificate on every request, also for a cached token', async () => {
    const token = bound()
    const answers: Outcome[] = []
    for (const one of [client, other, client, undefined, client])
      answers.push(await outcome(server, shown(bearer(token), one)))
    expect(answers).toEqual([granted, denied, granted, denied, granted])
  })

  test('MTL-01: an access names what confirmed it', async () => {
    const access = (await server.authorize(shown(bearer(bound()), client))) as Access
    expect(access).toMatchObject({ scheme: 'Bearer', confirmedBy: ['certificate'], responseHeaders: {} })
    expect(access.confirmation).toEqual({ 'x5t#S256': thumbprintOf(client) })
    expect(Object.isFrozen(access.confirmedBy)).toBe(true)
  })

  test('MTL-01 DEN-15: refuses a token whose x5t#S256 is not a text', async () => {
    const thumbprint = thumbprintOf(client)
    for (const value of [null, '', 0, 1, true, false, [], [thumbprint], {}, { thumbprint }, `${thumbprint}=`]) {
      const token = bearer(bound({ 'x5t#S256': value }))
      expect(await outcome(server, shown(token, client)), JSON.stringify(value)).toEqual(denied)
      expect(await outcome(server, token), JSON.stringify(value)).toEqual(denied)
    }
  })

  test('DEF-17 (RFC 7800 §3.1): ignores unknown members of cnf beside a known one', async () => {
    const known = { 'x5t#S256': thumbprintOf(client) }
    expect(await outcome(server, shown(bearer(bound({ ...known, kid: 'x', 'x5t#S512': 'y' })), client))).toEqual(
      granted
    )
    const unknown = [{}, { kid: 'x' }, { x5t: 'a' }, { 'x5t#s256': thumbprintOf(client) }, { 'x5t#S512': 'a' }]
    for (const cnf of unknown)
      expect(await outcome(server, shown(bearer(bound(cnf)), client))).toEqual(
        refused('DEN-11', 'confirmation_unknown')
      )
  })

  test('DEN-11: refuses a token whose cnf is not an object', async () => {
    for (const cnf of ['x', 1, true, [], [{ 'x5t#S256': thumbprintOf(client) }]]) {
      const token = accessToken({ claims: { cnf } })
      expect(await outcome(server, shown(bearer(token), client))).toEqual(refused('DEN-11', 'claim'))
    }
  })

  test('MTL-01 INT-13 (RFC 8705 §3.2): checks the binding of an introspected token too, also from the cache', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const token = bearer(issuer.opaque({ cnf: { 'x5t#S256': thumbprintOf(client) } }))
    const answers: Outcome[] = []
    for (const one of [client, other, undefined, client]) answers.push(await outcome(of, shown(token, one)))
    expect(answers).toEqual([granted, denied, denied, granted])
    expect(issuer.count('introspection')).toBe(1)
  })

  test('ORD-04 (RFC 8705 §3): does not look at the certificate of an invalid token', async () => {
    const request = { ...bearer(bound()), certificate: () => expect.unreachable() }
    const expired = { ...bearer(accessToken({ claims: { cnf: { 'x5t#S256': 'x' }, exp: 1 } })) }
    expect(await outcome(server, { ...request, ...expired })).toEqual(refused('DEN-06', 'expired'))
  })

  test('ORD-01: reports a missing scope after the certificate, and not before (ORD-05)', async () => {
    expect(await outcome(server, shown(bearer(bound()), other), scope('write'))).toMatchObject({ status: 401 })
    expect(await outcome(server, shown(bearer(bound()), client), scope('write'))).toMatchObject({ status: 403 })
  })

  test('ORD-02: rejects with the error of a host that cannot read the certificate', async () => {
    const broken = {
      ...bearer(bound()),
      certificate: () => {
        throw new TypeError('the connection has gone')
      }
    }
    await expect(outcome(server, broken)).rejects.toThrow(TypeError)
  })
})

describe('required binding', () => {
  const dpopKey = createDpopKey()
  const dpop = (token: string, url?: string): ResourceRequest =>
    get({ authorization: `DPoP ${token}`, dpop: dpopKey.proof({ token, ...(url && { url }) }) })
  /** One flaw of a DPoP request whose token is good. */
  const challengeOf = (description: string): string =>
    `DPoP error="invalid_token", error_description="${description}", scope="read", algs="${ALGS}", ${METADATA}`

  test('MTL-02 DEN-15: requireSenderConstrained certificate refuses an unbound token, with any certificate', async () => {
    const strict = api({ requireSenderConstrained: 'certificate' })
    expect(await outcome(strict, bearer(accessToken()))).toEqual(denied)
    expect(await outcome(strict, shown(bearer(accessToken()), client))).toEqual(denied)
    expect(await outcome(strict, shown(bearer(bound()), client))).toEqual(granted)
    expect(await outcome(strict, shown(bearer(bound({ kid: 'x' })), client))).toEqual(denied)
  })

  test('MTL-02 MTL-03: requireSenderConstrained refuses a token each time, though it passed another server', async () => {
    const strict = api({ requireSenderConstrained: 'certificate' })
    const token = accessToken()
    for (const _ of [1, 2]) {
      expect(await outcome(server, bearer(token))).toEqual(granted)
      expect(await outcome(strict, bearer(token))).toEqual(denied)
    }
  })

  test('MTL-02 DEN-15: requireSenderConstrained certificate refuses a token that is bound to a DPoP key alone, and its proof stays good', async () => {
    const strict = api({ requireSenderConstrained: 'certificate' })
    const token = bound({ jkt: dpopKey.jkt })
    const request = shown(dpop(token), client)
    const first = await outcome(strict, request)
    expect([first.status, first.headers['WWW-Authenticate']]).toEqual([401, [challengeOf(BOUND_ELSEWHERE)]])
    expect(strict.stats().replay?.entries).toBe(0)
    const both = bound({ jkt: dpopKey.jkt, 'x5t#S256': thumbprintOf(client) })
    expect(await outcome(strict, shown(dpop(both), client))).toEqual(granted)
  })

  test('DEF-17: requireSenderConstrained accepts either kind', async () => {
    const constrained = api({ requireSenderConstrained: true })
    expect(await outcome(constrained, bearer(accessToken()))).toEqual(denied)
    expect(await outcome(constrained, shown(bearer(bound()), client))).toEqual(granted)
    expect(await outcome(constrained, dpop(bound({ jkt: dpopKey.jkt })))).toEqual(granted)
    expect(await outcome(constrained, shown(bearer(bound({ kid: 'x' })), client))).toEqual(
      refused('DEN-11', 'confirmation_unknown')
    )
  })

  test('MTL-02 (RFC 8705 §3.3, RFC 9728 §2): the metadata say that tokens must be bound, and only then', () => {
    const member = 'tls_client_certificate_bound_access_tokens'
    expect(api({ requireSenderConstrained: 'certificate' }).metadata?.document()).toMatchObject({ [member]: true })
    for (const of of [server, api({ requireSenderConstrained: true }), api({ requireSenderConstrained: 'dpop' })])
      expect(of.metadata?.document()).not.toHaveProperty(member)
  })

  describe('a token that is bound to a key and a certificate', () => {
    const both = (): string => bound({ jkt: dpopKey.jkt, 'x5t#S256': thumbprintOf(client) })

    test('DPP-37 DEF-17: a token bound to a key and a certificate needs both', async () => {
      const token = both()
      expect(await outcome(server, shown(dpop(token), client))).toEqual(granted)
      const lines = async (request: ResourceRequest): Promise<unknown> =>
        (await outcome(server, request)).headers['WWW-Authenticate']
      expect(await lines(shown(dpop(token), other))).toEqual([challengeOf(BOUND_ELSEWHERE)])
      expect(await lines(dpop(token))).toEqual([challengeOf(BOUND_ELSEWHERE)])
      const unproved = shown(get({ authorization: `DPoP ${token}` }), client)
      expect(await lines(unproved)).toEqual([
        `DPoP error="invalid_dpop_proof", error_description="DPoP proof is required", scope="read", algs="${ALGS}", ${METADATA}`
      ])
      const foreign = createDpopKey().proof({ token })
      expect(await lines(shown(get({ authorization: `DPoP ${token}`, dpop: foreign }), client))).toEqual([
        challengeOf('Invalid DPoP key binding')
      ])
    })

    test('DPP-37 DEN-21: refuses a token that is bound to both as a bearer token with its certificate alone', async () => {
      expect(await outcome(server, shown(bearer(both()), client))).toEqual(refused('DEN-21', 'dpop_downgrade'))
    })

    test('DPP-37: refuses a token that is bound to both where DPoP is off', async () => {
      const certificates = api({ dpop: false })
      expect(await outcome(certificates, shown(bearer(both()), client))).toEqual(refused('DEN-21', 'dpop_downgrade'))
      expect((await outcome(certificates, shown(dpop(both()), client))).reason).toBe('credentials_missing')
    })

    test('DPP-37 DPP-21: a wrong certificate does not use up the proof', async () => {
      const of = api()
      const token = both()
      const request = dpop(token)
      await outcome(of, shown(request, other))
      expect(await outcome(of, shown(request, client))).toEqual(granted)
    })

    test('DPP-37: an access is confirmed by both, and an invalid jkt beside a good certificate is refused', async () => {
      const access = (await server.authorize(shown(dpop(both()), client))) as Access
      expect([access.scheme, access.confirmedBy]).toEqual(['DPoP', ['dpop', 'certificate']])
      for (const jkt of [null, '', 1, {}, [dpopKey.jkt]]) {
        const token = bound({ jkt, 'x5t#S256': thumbprintOf(client) })
        expect(await outcome(server, shown(bearer(token), client))).toEqual(refused('DEN-21', 'dpop_downgrade'))
        const { status, reason } = await outcome(server, shown(dpop(token), client))
        expect([status, reason]).toEqual([401, 'dpop_binding'])
      }
    })
  })

  test('DPP-24 DEN-23: refuses a token that is bound to a certificate alone under the scheme DPoP', async () => {
    const { headers } = await outcome(server, shown(dpop(bound()), client))
    expect(headers['WWW-Authenticate']).toEqual([challengeOf('The access token is not DPoP-bound')])
  })
})

/** Serves on a free port until the test ends. */
async function serve(
  tls: TlsOptions,
  of: ResourceServer = server
): Promise<{ readonly port: number; readonly resumed: boolean[] }> {
  const resumed: boolean[] = []
  const guard = protect(of, scope('read'))
  const served = createServer({ ...own, requestCert: true, rejectUnauthorized: false, ...tls }, (req, res) => {
    resumed.push((req.socket as TLSSocket).isSessionReused())
    guard(req, res, (error) => {
      res.statusCode = error instanceof ResourceServerError ? error.status : error ? 500 : 200
      res.end()
    })
  })
  served.listen(0, '127.0.0.1')
  await once(served, 'listening')
  onTestFinished(() => {
    served.close()
    served.closeAllConnections()
  })
  return { port: (served.address() as AddressInfo).port, resumed }
}

const withToken = (token: string): { path: string; headers: [string, string][] } => ({
  path: '/items',
  headers: [['Authorization', `Bearer ${token}`]]
})

describe('TLS', () => {
  test('MTL-01 MTL-04 (RFC 8705 §6.2): accepts a bound token from undici with its self-signed certificate, and with no other one', async () => {
    const { port } = await serve({})
    const me = createSelfSignedCertificate('me')
    const ask = async (one?: CertificateAndKey): Promise<number> => {
      const dispatcher = new Agent({ connect: { ca: authority.cert, ...one } })
      const authorization = `Bearer ${bound({ 'x5t#S256': thumbprintOf(me) })}`
      const { statusCode, body } = await undiciRequest(`https://localhost:${port}/items`, {
        dispatcher,
        headers: { authorization }
      })
      await body.dump()
      await dispatcher.close()
      return statusCode
    }
    expect([await ask(me), await ask(client), await ask()]).toEqual([200, 401, 401])
  })

  describe.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: resumption', (version) => {
    const limits = { minVersion: version, maxVersion: version } as const
    const connecting = (one?: CertificateAndKey): ConnectionOptions => ({ ca: authority.cert, ...limits, ...one })

    /** A session that was begun with this certificate, or without one, and has made one request. */
    async function begin(port: number, one?: CertificateAndKey): Promise<Buffer> {
      const socket = connect({ host: '127.0.0.1', port, ...connecting(one) })
      let session: Buffer | undefined
      socket.on('session', (given: Buffer) => {
        session = given
      })
      await once(socket, 'secureConnect')
      socket.write(`GET /items HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${bound()}\r\n\r\n`)
      await once(socket, 'data')
      session ??= socket.getSession()
      socket.destroy()
      if (!session) throw new Error('there is no session')
      return session
    }

    test(`MTL-09 (RFC 8705 §3): a session resumed over ${version} has the certificate that it began with`, async () => {
      const { port, resumed } = await serve(limits)
      const session = await begin(port, client)
      const reply = await send(port, withToken(bound()), { ...connecting(client), session })
      expect([reply.status, resumed]).toEqual([200, [false, true]])
      const foreign = bound({ 'x5t#S256': thumbprintOf(other) })
      expect((await send(port, withToken(foreign), { ...connecting(client), session })).status).toBe(401)
    })

    test(`MTL-09: a session resumed over ${version} that began with another certificate keeps that one, with any client`, async () => {
      const { port, resumed } = await serve(limits)
      const session = await begin(port, other)
      const reply = await send(port, withToken(bound()), { ...connecting(client), session })
      expect([reply.status, resumed]).toEqual([401, [false, true]])
    })

    test(`MTL-09: a session resumed over ${version} that began without a certificate has none`, async () => {
      const { port, resumed } = await serve(limits)
      const session = await begin(port)
      const reply = await send(port, withToken(bound()), { ...connecting(client), session })
      expect([reply.status, resumed]).toEqual([401, [false, true]])
      expect((await send(port, withToken(bound()), connecting(client))).status).toBe(200)
    })
  })
})

describe('HTTP/2', () => {
  type Listener = Parameters<typeof createSecureServer>[1]
  const listeners: readonly (readonly [string, () => Listener])[] = [
    [
      'a plain handler with the middleware for Express',
      () => {
        const guard = protect(server, scope('read'))
        return (req, res) =>
          guard(req as never, res as never, (error) => {
            res.statusCode = error instanceof ResourceServerError ? error.status : error ? 500 : 200
            res.end()
          })
      }
    ],
    [
      'Koa',
      () => {
        const app = new Koa()
        app.silent = true
        app.use(protectKoa(server, scope('read')))
        app.use((ctx) => {
          ctx.body = 'ok'
        })
        return app.callback() as never
      }
    ],
    [
      'Hono',
      () => {
        const app = new Hono()
        app.use(protectHono(server, scope('read')))
        app.get('/items', (c) => c.text('ok'))
        return getRequestListener(app.fetch) as never
      }
    ]
  ]

  async function ask(port: number, one?: CertificateAndKey): Promise<number[]> {
    const session = connectHttp2(`https://localhost:${port}`, { ca: authority.cert, ...one })
    const statuses: number[] = []
    // Two requests on one connection.
    for (const cnf of [undefined, { 'x5t#S256': thumbprintOf(other) }]) {
      const stream = session.request({ ':path': '/items', authorization: `Bearer ${bound(cnf)}` })
      stream.resume()
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
      statuses.push(Number(headers[':status']))
    }
    session.close()
    return statuses
  }
  const tls = { ...own, requestCert: true, rejectUnauthorized: false }

  test.each(listeners)('MTL-01 (RFC 8705 §3): %s reads the certificate of the connection', async (_name, create) => {
    const served = createSecureServer(tls, create())
    served.listen(0, '127.0.0.1')
    await once(served, 'listening')
    onTestFinished(() => void served.close())
    const { port } = served.address() as AddressInfo
    expect(await ask(port, client)).toEqual([200, 401])
    expect(await ask(port, other)).toEqual([401, 200])
    expect(await ask(port)).toEqual([401, 401])
  })

  test('MTL-09 ORD-02: a connection that ends while its token is verified has no certificate, and causes no error', async () => {
    const failures = vi.fn()
    process.on('unhandledRejection', failures)
    onTestFinished(() => void process.off('unhandledRejection', failures))
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [issuer.issuer] })
    const guard = protect(of, scope('read'))
    const decisions: unknown[] = []
    let decided = (): void => undefined
    const served = createSecureServer(tls, (req, res) => {
      guard(req as never, res as never, (error) => {
        decisions.push(error)
        decided()
      })
    })
    let serverSession: ServerHttp2Session | undefined
    served.on('session', (one) => {
      serverSession = one
    })
    served.listen(0, '127.0.0.1')
    await once(served, 'listening')
    onTestFinished(() => void served.close())
    const url = `https://localhost:${(served.address() as AddressInfo).port}`
    const session = connectHttp2(url, { ca: authority.cert, ...client })
    const gate = issuer.hold('metadata')
    const token = issuer.token({ claims: { cnf: { 'x5t#S256': thumbprintOf(client) } } })
    session.request({ ':path': '/items', authorization: `Bearer ${token}` }).on('error', () => undefined)
    await issuer.received('metadata', 1)
    const gone = serverSession && once(serverSession, 'close')
    session.destroy()
    await gone
    const answered = new Promise<void>((resolve) => {
      decided = resolve
    })
    gate.release()
    await answered
    expect(decisions).toHaveLength(1)
    expect(decisions[0]).toBeInstanceOf(Error)
    expect(failures).not.toHaveBeenCalled()
  })

  test('MTL-01 (RFC 8705 §3): Fastify reads the certificate of the connection', async () => {
    const app = fastify({ http2: true, https: tls })
    await app.register(resourceServerPlugin, { api: server })
    app.get('/items', { config: { auth: scope('read') } }, async () => 'ok')
    await app.listen({ host: '127.0.0.1', port: 0 })
    onTestFinished(() => app.close())
    const { port } = app.server.address() as AddressInfo
    expect(await ask(port, client)).toEqual([200, 401])
    expect(await ask(port)).toEqual([401, 401])
  })
})

describe('MTL-09: hosts without a connection', () => {
  test('MTL-09: refuses Fastify’s inject, which has no certificate, like any request without one', async () => {
    for (const clientCertificate of [undefined, { trustedProxies: ['10.0.0.1'] }]) {
      const of = api(clientCertificate && { clientCertificate })
      const app = fastify()
      await app.register(resourceServerPlugin, { api: of })
      app.get('/items', { config: { auth: scope('read') } }, async () => 'ok')
      const reply = await app.inject({ url: '/items', headers: { authorization: `Bearer ${bound()}` } })
      expect([reply.statusCode, reply.headers['www-authenticate']]).toEqual([401, denied.headers['WWW-Authenticate']])
    }
  })

  test('MTL-09: a Hono app without a server has no certificate', async () => {
    const app = new Hono()
    app.use(protectHono(server, scope('read')))
    const reply = await app.request('/items', { headers: { authorization: `Bearer ${bound()}` } })
    expect([reply.status, reply.headers.get('www-authenticate')]).toEqual([
      401,
      denied.headers['WWW-Authenticate']?.[0]
    ])
    const bindings = { incoming: { socket: undefined }, outgoing: {} }
    const bound_ = await app.request('/items', { headers: { authorization: `Bearer ${bound()}` } }, bindings)
    expect(bound_.status).toBe(401)
  })

  test('MTL-09: no socket, a socket without TLS and a socket that has gone have no certificate', () => {
    const rawHeaders: string[] = []
    const sockets: unknown[] = [
      undefined,
      null,
      {},
      { getPeerX509Certificate: undefined },
      { getPeerX509Certificate: () => undefined },
      connect({ host: '127.0.0.1', port: 9 })
        .on('error', () => undefined)
        .destroy()
    ]
    for (const socket of sockets) {
      const node = new NodeRequest({ method: 'GET', url: '/', rawHeaders, socket: socket as never })
      expect([node.certificate(), node.peerAddress]).toEqual([undefined, undefined])
      const fetched = new FetchRequest(new Request('https://api.example.com/'), (socket ?? undefined) as never)
      expect([fetched.certificate(), fetched.peerAddress]).toEqual([undefined, undefined])
    }
  })
})
