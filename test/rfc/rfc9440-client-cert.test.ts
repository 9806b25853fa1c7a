/** The rules about certificates that a proxy tells of: RFC 9440, behind reverse proxies that end TLS, and the options. */
import { hash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { TLSSocket } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { errorHandler, protect } from '../../adapters/express.js'
import {
  type Access,
  forwardedClientCert,
  fresh,
  type ResourceRequest,
  ResourceServerError,
  type ResourceServerOptions,
  scope,
  urlEncodedPem
} from '../../src/index.js'
import { type Lines, type Reply, send } from '../adapters/wire.js'
import {
  type CertificateAndKey,
  createCertificateAuthority,
  createSelfSignedCertificate
} from '../support/certificates.js'
import { createDpopKey } from '../support/dpop.js'
import { createBed, introspecting } from '../support/exchange.js'
import { accessToken, api, bearer, get, granted, type Outcome, outcome, refused } from '../support/refusals.js'

const bed = createBed()

const authority = createCertificateAuthority()
const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })
const client = authority.issue({ commonName: 'client', client: true })
const selfSigned = createSelfSignedCertificate('client')
const other = authority.issue({ commonName: 'other', client: true })

type Certificate = Pick<CertificateAndKey, 'cert'>
const derOf = ({ cert }: Certificate): Buffer => new X509Certificate(cert).raw
const field = (one: Certificate): string => `:${derOf(one).toString('base64')}:`
const bound = (one: Certificate): string =>
  accessToken({ claims: { cnf: { 'x5t#S256': hash('sha256', derOf(one), 'base64url') } } })

const denied = refused('DEN-15', 'certificate_binding')

/** A request from this address, with these lines of a field. */
function told(
  token: string,
  lines: readonly string[],
  peerAddress = '10.0.0.7',
  name = 'client-cert'
): ResourceRequest {
  const request = bearer(token)
  return { ...request, peerAddress, fieldLines: (one) => (one === name ? lines : request.fieldLines(one)) }
}

describe('RFC 9440 appendix A', () => {
  const value =
    ':MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:'
  const token = accessToken({ claims: { cnf: { 'x5t#S256': 'v68ffgcPn6jdYpBfFY2nP4ShE2Yk-6_Mk5PI9yh6aes' } } })

  test('MTL-06 (RFC 9440 §2.2, appendix A): reads the example field as the example certificate, CN=BC', async () => {
    expect(new X509Certificate(Buffer.from(value.slice(1, -1), 'base64')).subject).toBe('CN=BC')
    const of = api({ clientCertificate: { trustedProxies: ['10.0.0.7'] } })
    expect(await outcome(of, told(token, [value]))).toEqual(granted)
    expect(await outcome(of, told(token, [field(other)]))).toEqual(denied)
  })
})

describe('MTL-05 MTL-07 (RFC 9440 §4): the options', () => {
  const startWith = (clientCertificate: unknown): (() => unknown) => {
    return () => api({ clientCertificate } as Partial<ResourceServerOptions>)
  }

  test('MTL-07 (RFC 9440 §4): refuses the option without a list of proxies at start', () => {
    const lists: unknown[] = [
      undefined,
      null,
      [],
      '10.0.0.7',
      [undefined],
      [1],
      [''],
      ['proxy'],
      ['10.0.0.0/33'],
      ['*']
    ]
    for (const trustedProxies of lists)
      expect(startWith({ trustedProxies }), JSON.stringify(trustedProxies)).toThrow(/clientCertificate\.trustedProxies/)
    for (const options of [null, true, 'Client-Cert', 1]) expect(startWith(options)).toThrow(TypeError)
  })

  test('MTL-05: refuses an invalid field name, a parser that is not a function and an unknown option at start', () => {
    const proxies = { trustedProxies: ['10.0.0.7'] }
    for (const name of ['', 'a b', 'a:', 'é', 'X-Cert\r\nX', 1, null])
      expect(startWith({ ...proxies, field: name }), JSON.stringify(name)).toThrow(TypeError)
    for (const parse of ['urlEncodedPem', null, {}]) expect(startWith({ ...proxies, parse })).toThrow(TypeError)
    expect(startWith({ ...proxies, header: 'X-Cert' })).toThrow(TypeError)
    expect(startWith({ ...proxies, field: 'X-Cert', parse: urlEncodedPem })).not.toThrow()
  })

  test('MTL-06: reads the name of the field without regard to case', async () => {
    const of = api({ clientCertificate: { trustedProxies: ['10.0.0.7'], field: 'X-CERT' } })
    expect(await outcome(of, told(bound(client), [field(client)], '10.0.0.7', 'x-cert'))).toEqual(granted)
  })
})

describe('MTL-06 MTL-07 (RFC 9440 §2): the field', () => {
  const of = api({ clientCertificate: { trustedProxies: ['10.0.0.0/8', '::1'] } })
  const ask = (lines: readonly string[], peer?: string): Promise<Outcome> =>
    outcome(of, told(bound(client), lines, peer))

  test('MTL-07: trusts an address also in the form that a server on IPv6 sees', async () => {
    for (const peer of ['10.0.0.7', '::ffff:10.255.0.7', '::FFFF:10.0.0.7', '::1'])
      expect(await ask([field(client)], peer), peer).toEqual(granted)
    for (const peer of ['11.0.0.7', '::ffff:11.0.0.7', '::2', '127.0.0.1', '', 'unix'])
      expect(await ask([field(client)], peer), peer).toEqual(denied)
    expect(await outcome(of, { ...told(bound(client), [field(client)]), peerAddress: undefined })).toEqual(denied)
  })

  test('MTL-06 DEN-15 (RFC 9440 §2.2): refuses anything but one byte sequence with one certificate', async () => {
    const value = field(client)
    const rows: readonly (readonly string[])[] = [
      [],
      [''],
      [value, value],
      [value, field(other)],
      [`${value}, ${value}`],
      [`${value},${field(other)}`],
      [`${value};a=1`],
      [value.slice(1)],
      [value.slice(0, -1)],
      [`:${derOf(client).subarray(0, -3).toString('base64')}:`],
      [`:${Buffer.concat([derOf(client), Buffer.alloc(3)]).toString('base64')}:`],
      [`:${Buffer.concat([derOf(client), derOf(authority)]).toString('base64')}:`],
      [`:${'A'.repeat(40_000)}:`],
      [encodeURIComponent(client.cert)]
    ]
    for (const lines of rows) expect(await ask(lines), lines.join('|').slice(0, 40)).toEqual(denied)
    expect(await ask([` ${value} `])).toEqual(granted)
  })

  test('MTL-06 (RFC 9440 §2.3): does not read Client-Cert-Chain, alone or beside', async () => {
    const chain = (request: ResourceRequest, value: string): ResourceRequest => ({
      ...request,
      fieldLines: (name) => (name === 'client-cert-chain' ? [value] : request.fieldLines(name))
    })
    expect(await outcome(of, chain(told(bound(client), []), field(client)))).toEqual(denied)
    expect(await outcome(of, chain(told(bound(client), [field(client)]), field(other)))).toEqual(granted)
  })

  test('MTL-05 MTL-07 ORD-03: ignores the field from every address without the option', async () => {
    for (const peer of ['10.0.0.7', '127.0.0.1', '::1'])
      expect(await outcome(api(), told(bound(client), [field(client)], peer))).toEqual(denied)
  })

  test('MTL-08 (RFC 9440 §2.4): an access whose certificate came in a field says what its answer varies by', async () => {
    const headersOf = async (server: typeof of, request: ResourceRequest): Promise<unknown> =>
      (await server.authorize(request)).responseHeaders
    expect(await headersOf(of, told(bound(client), [field(client)]))).toEqual({ Vary: 'Client-Cert' })
    expect(await headersOf(of, told(accessToken(), [field(client)]))).toEqual({})
    expect(await headersOf(api(), { ...bearer(bound(client)), certificate: () => derOf(client) })).toEqual({})
    const named = api({ clientCertificate: { trustedProxies: ['10.0.0.7'], field: 'X-Cert' } })
    expect(await headersOf(named, told(bound(client), [field(client)], '10.0.0.7', 'x-cert'))).toEqual({
      Vary: 'X-Cert'
    })
  })

  test('MTL-08: an access whose proof was a DPoP key varies by no certificate', async () => {
    const key = createDpopKey()
    const token = accessToken({ claims: { cnf: { jkt: key.jkt } } })
    const fields = { authorization: `DPoP ${token}`, dpop: key.proof({ token }), 'client-cert': field(client) }
    const access = await of.authorize({ ...get(fields), peerAddress: '10.0.0.7' })
    expect([access.confirmedBy, access.responseHeaders]).toEqual([['dpop'], {}])
  })

  test('MTL-01 MTL-08: a token that is introspected again stays bound, and an answer that says otherwise is refused', async () => {
    const issuer = await bed.issuer()
    const asking = bed.api({
      issuers: [introspecting(issuer)],
      clientCertificate: { trustedProxies: ['10.0.0.7'] }
    })
    const cnf = { 'x5t#S256': hash('sha256', derOf(client), 'base64url') }
    const token = issuer.opaque({ cnf })
    const ask = (): Promise<Outcome> => outcome(asking, told(token, [field(client)]), scope('read'), fresh())
    const before = (await asking.authorize(told(token, [field(client)]))) as Access
    issuer.opaque({ cnf, scope: 'read write' }, token)
    const access = (await asking.authorize(told(token, [field(client)]), fresh())) as Access
    expect(access).not.toBe(before)
    expect(access).toMatchObject({ scopes: ['read', 'write'], scheme: 'Bearer', confirmedBy: ['certificate'] })
    expect(access.responseHeaders).toEqual({ Vary: 'Client-Cert' })
    expect(await ask()).toEqual(granted)
    issuer.opaque({ cnf: { 'x5t#S256': hash('sha256', derOf(other), 'base64url') } }, token)
    expect(await ask()).toEqual(refused('DEN-11', 'claim'))
    expect(await ask()).toEqual(denied)
  })
})

/** How a proxy tells the certificate. */
interface Proxy {
  readonly name: string
  readonly field: string
  readonly parse?: NonNullable<ResourceServerOptions['clientCertificate']>['parse']
  /** The value of the field, by what the client sent in it and the certificate of the connection. */
  readonly write: (certificate: Certificate, sent: string | undefined) => string
  /** Adds its line to the client's, instead of replacing them. */
  readonly careless?: boolean
}

const pemOf = (certificate: Certificate): string => encodeURIComponent(certificate.cert)
const element = (certificate: Certificate): string =>
  `By=spiffe://cluster.example/ns/api;Hash=${hash('sha256', derOf(certificate), 'hex')};Cert="${pemOf(certificate)}";Chain="${encodeURIComponent(certificate.cert + authority.cert)}";Subject="CN=client,O=\\"A; B\\", C";URI=`

const RFC9440: Proxy = { name: 'RFC 9440', field: 'Client-Cert', write: field }
const ENVOY: Proxy = {
  name: 'Envoy with SANITIZE_SET',
  field: 'X-Forwarded-Client-Cert',
  parse: forwardedClientCert,
  write: element
}
const PROXIES: readonly Proxy[] = [
  RFC9440,
  { name: 'nginx', field: 'X-SSL-Cert', parse: urlEncodedPem, write: pemOf },
  ENVOY
]

/** Starts a server and ends it with the test. */
async function listening<T extends Server>(server: T, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host)
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** The protected server, and in front of it a proxy that ends TLS. */
async function behind(
  proxy: Proxy,
  { trusted = ['127.0.0.1'], host = '127.0.0.1', via = host }: { trusted?: string[]; host?: string; via?: string } = {}
): Promise<{ readonly port: number; readonly direct: number }> {
  const { field: name, parse } = proxy
  const server = api({ clientCertificate: { trustedProxies: trusted, field: name, ...(parse && { parse }) } })
  const [guard, onError] = [protect(server, scope('read')), errorHandler()]
  const direct = await listening(
    createServer((req, res) => {
      guard(req, res, (error) => {
        if (error === undefined) res.end(JSON.stringify({ peer: req.socket.remoteAddress }))
        else onError(error, req, res, () => res.writeHead(500).end())
      })
    }),
    host
  )
  const tls = { ...own, requestCert: true, rejectUnauthorized: false }
  const port = await listening(
    createTlsServer(tls, (req, res) => forward(proxy, req, res, { host: via, port: direct }))
  )
  return { port, direct }
}

function forward(
  { field: name, write, careless = false }: Proxy,
  req: IncomingMessage,
  res: ServerResponse,
  to: { host: string; port: number }
): void {
  const lines: string[] = []
  const { rawHeaders } = req
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [one = '', value = ''] = rawHeaders.slice(i, i + 2)
    // RFC 9440 §2.4: what a client sent under this name must go.
    if (careless || one.toLowerCase() !== name.toLowerCase()) lines.push(one, value)
  }
  const shown = (req.socket as TLSSocket).getPeerX509Certificate()
  if (shown) lines.push(name, write({ cert: shown.toString() }, String(req.headers[name.toLowerCase()] ?? '')))
  const onward = httpRequest({ ...to, method: req.method, path: req.url, headers: lines }, (answer) => {
    res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    answer.pipe(res)
  })
  onward.on('error', () => res.writeHead(502).end())
  req.pipe(onward)
}

const ask = (port: number, token: string, one?: CertificateAndKey, ...more: Lines): Promise<Reply> =>
  send(
    port,
    { path: '/items', headers: [['Authorization', `Bearer ${token}`], ...more] },
    { ca: authority.cert, ...one }
  )

function expectDenied(reply: Reply): void {
  expect([reply.status, reply.values('www-authenticate'), reply.values('cache-control')]).toEqual([
    401,
    denied.headers['WWW-Authenticate'],
    ['no-store']
  ])
}

describe.each(PROXIES)('behind a proxy: $name', (proxy) => {
  test(`MTL-01 MTL-05 (RFC 9440 §1): passes on the client’s certificate, and no other one: ${proxy.name}`, async () => {
    const { port } = await behind(proxy)
    const reply = await ask(port, bound(client), client)
    expect([reply.status, reply.values('vary')]).toEqual([200, [proxy.field]])
    expect((await ask(port, bound(selfSigned), selfSigned)).status).toBe(200)
    expectDenied(await ask(port, bound(client), other))
    expectDenied(await ask(port, bound(client)))
    expect((await ask(port, accessToken(), client)).status).toBe(200)
  })

  test(`MTL-05 MTL-07 (RFC 9440 §4): does not pass on a field that a client writes itself: ${proxy.name}`, async () => {
    const { port } = await behind(proxy)
    const forged = [proxy.field, proxy.write(client, undefined)] as const
    expectDenied(await ask(port, bound(client), other, forged))
    expectDenied(await ask(port, bound(client), undefined, forged))
    expect((await ask(port, bound(client), client, forged)).status).toBe(200)
  })

  test(`MTL-06 (RFC 9440 §2.4): trusts neither line of a proxy that leaves the client’s line beside its own: ${proxy.name}`, async () => {
    const { port } = await behind({ ...proxy, careless: true })
    const forged = [proxy.field, proxy.write(client, undefined)] as const
    expectDenied(await ask(port, bound(client), other, forged))
    expectDenied(await ask(port, bound(other), other, forged))
  })

  test(`MTL-07 (RFC 9440 §4): does not trust a request that comes past the proxy: ${proxy.name}`, async () => {
    const { direct } = await behind(proxy, { trusted: ['127.0.0.2'] })
    const headers: Lines = [
      ['Authorization', `Bearer ${bound(client)}`],
      [proxy.field, proxy.write(client, undefined)],
      ['X-Forwarded-For', '127.0.0.2'],
      ['Forwarded', 'for=127.0.0.2']
    ]
    expectDenied(await send(direct, { path: '/items', headers }))
  })
})

describe('Envoy with APPEND_FORWARD', () => {
  const appending: Proxy = {
    ...ENVOY,
    write: (certificate, sent) => (sent ? `${sent},${element(certificate)}` : element(certificate))
  }

  test('MTL-05 MTL-07 (RFC 9440 §4): ignores elements before the proxy’s own, however they are quoted', async () => {
    const { port } = await behind(appending)
    expect((await ask(port, bound(client), client)).status).toBe(200)
    for (const forged of [
      element(client),
      `Cert="${pemOf(client)}"`,
      `Cert="${pemOf(client)}";x="`,
      `Cert="${pemOf(client)}";x=a"b`,
      `Cert="${pemOf(client)}";x="\\`
    ])
      expectDenied(await ask(port, bound(client), other, [ENVOY.field, forged]))
  })
})

test('MTL-05 MTL-07: recognizes a proxy that speaks HTTP/2 to the server by its address', async () => {
  for (const [trusted, status] of [
    ['127.0.0.1', 200],
    ['10.0.0.7', 401]
  ] as const) {
    const guard = protect(api({ clientCertificate: { trustedProxies: [trusted] } }), scope('read'))
    const served = createHttp2Server((req, res) => {
      guard(req as never, res as never, (error) => {
        res.statusCode = error instanceof ResourceServerError ? error.status : error ? 500 : 200
        res.end()
      })
    })
    served.listen(0, '127.0.0.1')
    await once(served, 'listening')
    const session = connectHttp2(`http://127.0.0.1:${(served.address() as AddressInfo).port}`)
    onTestFinished(() => {
      session.close()
      served.close()
    })
    const stream = session.request({
      ':path': '/items',
      authorization: `Bearer ${bound(client)}`,
      'client-cert': field(client)
    })
    stream.resume()
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    expect([headers[':status'], headers['vary']]).toEqual([status, status === 200 ? 'Client-Cert' : undefined])
  }
})

describe('addresses', () => {
  const hasIpv6 = Object.values(networkInterfaces())
    .flat()
    .some((one) => one?.address === '::1')

  test('MTL-07: trusts a range of addresses', async () => {
    const { port } = await behind(RFC9440, { trusted: ['10.0.0.0/8', '127.0.0.0/8'] })
    expect((await ask(port, bound(client), client)).status).toBe(200)
  })

  test.runIf(hasIpv6)('MTL-07: recognizes an IPv4 proxy that a server on IPv6 sees as ::ffff:…', async () => {
    const { port } = await behind(RFC9440, { host: '::', via: '127.0.0.1' })
    const reply = await ask(port, bound(client), client)
    expect([reply.status, JSON.parse(reply.body)]).toEqual([200, { peer: '::ffff:127.0.0.1' }])
    expectDenied(await ask(port, bound(client), other))
  })

  test.runIf(hasIpv6)('MTL-07: trusts a proxy on IPv6', async () => {
    const { port } = await behind(RFC9440, { trusted: ['::1'], host: '::1' })
    expect((await ask(port, bound(client), client)).status).toBe(200)
    const strange = await behind(RFC9440, { trusted: ['127.0.0.1'], host: '::1' })
    expectDenied(await ask(strange.port, bound(client), client))
  })
})
