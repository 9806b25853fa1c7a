/** That the certificates of the tests are good enough for real TLS, in both directions. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Agent, request } from 'undici'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createCertificateAuthority, createSelfSignedCertificate } from './certificates.js'

const authority = createCertificateAuthority()
const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })
const client = authority.issue({ commonName: 'api client', client: true })

let server: Server
let port: number

beforeEach(async () => {
  server = createServer({ ...own, ca: authority.cert, requestCert: true, rejectUnauthorized: false }, (req, res) => {
    const socket = req.socket as TLSSocket
    res.end(JSON.stringify({ authorized: socket.authorized, subject: socket.getPeerCertificate().subject?.CN ?? null }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})

afterEach(() => {
  server.close()
  server.closeAllConnections()
})

async function get(url: string, connect: object): Promise<unknown> {
  const dispatcher = new Agent({ connect })
  try {
    return await (await request(url, { dispatcher })).body.json()
  } finally {
    await dispatcher.destroy()
  }
}

test.each(['localhost', '127.0.0.1'])(
  'a client with a certificate and https://%s authenticate each other',
  async (host) => {
    const answer = await get(`https://${host}:${port}`, { ca: authority.cert, ...client })
    expect(answer).toEqual({ authorized: true, subject: 'api client' })
  }
)

test('an untrusted certificate arrives, and is not authorized', async () => {
  const answer = await get(`https://localhost:${port}`, { ca: authority.cert, ...createSelfSignedCertificate('me') })
  expect(answer).toEqual({ authorized: false, subject: 'me' })
})

test('refuses a server of another authority', async () => {
  const { cert: ca } = createCertificateAuthority()
  await expect(get(`https://localhost:${port}`, { ca })).rejects.toThrow(/certificate|signature/i)
})

test('the authority’s certificate may issue others, and those it issued may not', () => {
  const [own, issued] = [authority.cert, client.cert].map((pem) => new X509Certificate(pem))
  expect([own?.ca, issued?.ca]).toEqual([true, false])
  expect(issued?.checkIssued(own as X509Certificate)).toBe(true)
  expect(issued?.checkPrivateKey(createPrivateKey(client.key))).toBe(true)
})
