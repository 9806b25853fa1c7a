/**
 * The configuration that docs/sender-constrained.md gives for nginx, HAProxy and Apache, pasted into the real proxy: the
 * block between its fences, with other paths, ports and addresses. Client and API are real too.
 *
 * Needs the proxies: `apt-get install nginx haproxy apache2`. The tests of one that is not installed are skipped.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { hash, X509Certificate } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorHandler, protect } from '../../adapters/express.js'
import { base64Der, plainPem, type RefusalEvent, scope, urlEncodedPem } from '../../src/index.js'
import { type Lines, type Reply, send } from '../adapters/wire.js'
import {
  type CertificateAndKey,
  createCertificateAuthority,
  createSelfSignedCertificate
} from '../support/certificates.js'
import { freePort } from '../support/ports.mjs'
import { accessToken, api } from '../support/refusals.js'

interface Proxy {
  readonly name: string
  /** The language of its block in the document. */
  readonly language: string
  readonly binary: string
  readonly parse: (value: string) => Uint8Array | undefined
  /** What the certificate looks like in the field, for a client that writes it itself. */
  readonly write: (pem: string) => string
  /** The whole configuration around the block. */
  configuration(block: string, folder: string): string
  start(file: string, folder: string): readonly string[]
}

const MODULES = '/usr/lib/apache2/modules'
const APACHE = ['mpm_event', 'authz_core', 'socache_shmcb', 'ssl', 'headers', 'proxy', 'proxy_http']
const bodyOf = (pem: string): string => pem.replace(/-----.*-----|\s/g, '')

const PROXIES: readonly Proxy[] = [
  {
    name: 'nginx',
    language: 'nginx',
    binary: '/usr/sbin/nginx',
    parse: urlEncodedPem,
    write: encodeURIComponent,
    configuration: (block, folder) => `daemon off;
pid ${folder}/pid;
error_log stderr;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${folder}/${one};`).join(' ')}
  ${block}
}`,
    start: (file, folder) => ['-p', folder, '-c', file]
  },
  {
    name: 'HAProxy',
    language: 'haproxy',
    binary: '/usr/sbin/haproxy',
    parse: base64Der,
    write: bodyOf,
    configuration: (block) => `defaults
  timeout connect 5s
  timeout client 5s
  timeout server 5s
${block}`,
    start: (file) => ['-db', '-f', file]
  },
  {
    name: 'Apache',
    language: 'apache',
    binary: '/usr/sbin/apache2',
    parse: plainPem,
    write: (pem) => pem.trim().replaceAll('\n', ' '),
    configuration: (block, folder) => `ServerRoot ${folder}
ServerName localhost
User www-data
Group www-data
PidFile ${folder}/pid
ErrorLog /dev/stderr
DefaultRuntimeDir ${folder}
${APACHE.map((one) => `LoadModule ${one}_module ${MODULES}/mod_${one}.so`).join('\n')}
Listen ${/<VirtualHost \S+:(\d+)>/.exec(block)?.[1]}
${block}`,
    start: (file) => ['-DFOREGROUND', '-f', file]
  }
]

const DOCUMENT = readFileSync(new URL('../../docs/sender-constrained.md', import.meta.url), 'utf8')

/** The block of a proxy as a reader pastes it, and the options that stand below. */
function documented(language: string): { readonly block: string; readonly options: string } {
  const found = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\`[\\s\\S]*?\`\`\`ts\\n([\\s\\S]*?)\`\`\``).exec(
    DOCUMENT
  )
  if (!found) throw new Error(`docs/sender-constrained.md has no block of ${language}`)
  return { block: found[1] as string, options: found[2] as string }
}

const authority = createCertificateAuthority()
const clients = createCertificateAuthority('Clients')
const own = authority.issue({ commonName: 'localhost', sans: ['localhost', '127.0.0.1'] })
const client = clients.issue({ commonName: 'client', client: true })
const stranger = createCertificateAuthority('Strangers').issue({ commonName: 'stranger', client: true })
const selfSigned = createSelfSignedCertificate('client')

const bound = ({ cert }: CertificateAndKey): string =>
  accessToken({ claims: { cnf: { 'x5t#S256': hash('sha256', new X509Certificate(cert).raw, 'base64url') } } })

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Waits until a port answers over TLS; the hook's own timeout is the bound. Apache opens its port once before it serves. */
async function answering(port: number, child: ChildProcess, log: string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the proxy ended: ${readFileSync(log, 'utf8')}`)
    const reply = await send(port, {}, { ca: authority.cert }).catch(() => undefined)
    if (reply !== undefined) return
    await setTimeout(20)
  }
}

/** Starts the API and, in front of it, the proxy with the block of the document. */
async function start(proxy: Proxy): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = api({
    clientCertificate: { trustedProxies: ['127.0.0.1'], field: 'X-Client-Cert', parse: proxy.parse }
  })
  const [guard, onError] = [protect(server, scope('read')), errorHandler()]
  const backend = createServer((req, res) => {
    guard(req, res, (error) => {
      if (error === undefined) res.end('{}')
      else onError(error, req, res, () => res.writeHead(500).end())
    })
  })
  const [behind, port] = [await listen(backend), await freePort()]
  const folder = mkdtempSync(join(tmpdir(), 'proxy-'))
  mkdirSync(join(folder, 'tls'))
  const files = {
    'server.pem': own.cert,
    'server-key.pem': own.key,
    'server-and-key.pem': own.cert + own.key,
    'client-ca.pem': clients.cert
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'tls', name), text)
  const block = documented(proxy.language)
    .block.replaceAll('/etc/tls', join(folder, 'tls'))
    .replaceAll('10.0.0.8:3000', `127.0.0.1:${behind}`)
    .replace(/\b443\b/, String(port))
  const file = join(folder, 'proxy.conf')
  writeFileSync(file, proxy.configuration(block, folder))
  const log = join(folder, 'log')
  // A file: Apache cannot open a pipe of Node's by the name /dev/stderr.
  const output = openSync(log, 'a')
  const child = spawn(proxy.binary, proxy.start(file, folder), { stdio: ['ignore', output, output] })
  closeSync(output)
  await answering(port, child, log)
  return {
    port,
    close: async () => {
      const exited = child.exitCode === null ? once(child, 'exit') : undefined
      child.kill('SIGTERM')
      await exited
      backend.close()
      backend.closeAllConnections()
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

describe.each(PROXIES)('$name with the configuration of docs/sender-constrained.md', (proxy) => {
  const { name, parse, write } = proxy

  test(`the options below the block of ${name} use the parser that is tested here`, () => {
    expect(documented(proxy.language).options).toContain(`field: 'X-Client-Cert', parse: ${parse.name} }`)
  })

  describe.skipIf(!existsSync(proxy.binary))(`${name} is installed`, () => {
    let proxied: Awaited<ReturnType<typeof start>>
    const hints: string[] = []
    const listener = (event: unknown): void => void hints.push((event as RefusalEvent).error.hint)
    beforeAll(async () => {
      subscribe('oauth-resource-server:refusal', listener)
      proxied = await start(proxy)
    })
    afterAll(async () => {
      unsubscribe('oauth-resource-server:refusal', listener)
      await proxied?.close()
    })
    const ask = (token: string, shown?: CertificateAndKey, ...more: Lines): Promise<Reply> =>
      send(
        proxied.port,
        { path: '/items', headers: [['Authorization', `Bearer ${token}`], ...more] },
        { ca: authority.cert, ...shown }
      )

    test.each([
      ['of the authority that the proxy knows', client],
      ['of another authority', stranger],
      ['that is self-signed', selfSigned]
    ])('accepts a token that is bound to the certificate of the connection, %s', async (_, shown) => {
      expect((await ask(bound(shown), shown)).status).toBe(200)
    })

    test('refuses a token that is bound to another certificate', async () => {
      expect((await ask(bound(client), stranger)).status).toBe(401)
    })

    test.each(['X-Client-Cert', 'x-client-cert', 'X-CLIENT-CERT'])(
      'removes a certificate that a client without one writes into %s itself',
      async (field) => {
        hints.length = 0
        expect((await ask(bound(client), undefined, [field, write(client.cert)])).status).toBe(401)
        expect(hints).toEqual([expect.stringContaining('The request has no field `X-Client-Cert`')])
      }
    )

    test('replaces a certificate that a client with another one writes itself', async () => {
      const forged: Lines[number] = ['X-Client-Cert', write(client.cert)]
      expect((await ask(bound(client), stranger, forged)).status).toBe(401)
      expect((await ask(bound(client), stranger, forged, forged)).status).toBe(401)
      expect((await ask(bound(stranger), stranger, forged)).status).toBe(200)
    })
  })
})
