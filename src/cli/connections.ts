/**
 * Chooses how a command reaches servers: through the proxy that the environment names, and with a private CA. An API
 * needs an option or a variable for either, so the commands say which.
 *
 * Tests: `test/cli/connections.test.ts`.
 */
import { X509Certificate } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { isLoopback } from '../base/reach.js'
import { proxiesOfEnvironment } from '../http/proxy.js'
import type { HttpOptions } from '../http/settings.js'
import { readGivenFile, UsageError } from './command.js'
import type { Terminal } from './terminal.js'

export interface Connections {
  /** For authorization servers. */
  readonly http: HttpOptions | undefined
  /** For the API itself. */
  readonly fetch: typeof fetch
  /** The variable that names a proxy, if one is used. */
  readonly proxy: string | undefined
  close(): Promise<void>
}

/**
 * @param ca path of a file with CA certificates in PEM
 * @throws {UsageError} a file without certificates, or a variable that does not name a proxy
 */
export async function createConnections(ca: string | undefined, terminal: Terminal): Promise<Connections> {
  const { http, fetch } = terminal
  const certificates = ca === undefined ? undefined : await readCertificates(ca, terminal)
  const [proxy] = http?.dispatcher === undefined ? proxiesOfEnvironment() : []
  if (proxy?.problem !== undefined)
    throw new UsageError(
      `The variable ${proxy.name} ${proxy.problem}. Write an origin, such as http://proxy.internal:3128, or unset it.`
    )
  if (certificates === undefined && proxy === undefined)
    return { http, fetch, proxy: undefined, close: async () => undefined }
  const { Agent, EnvHttpProxyAgent, fetch: send } = await import('undici')
  const tls = certificates === undefined ? {} : { ca: [...rootCertificates, ...certificates] }
  const direct = new Agent({ connect: tls })
  const outward = proxy === undefined ? direct : new EnvHttpProxyAgent({ connect: tls, requestTls: tls, proxyTls: tls })
  const dispatcherFor = (url: URL): typeof direct | typeof outward => (isLoopback(url) ? direct : outward)
  return {
    http:
      certificates === undefined
        ? { ...http, proxy: 'environment' }
        : {
            ...http,
            dispatcher: {
              request: (options: { readonly origin: string }) =>
                dispatcherFor(new URL(options.origin)).request(options as never)
            }
          },
    fetch: (async (url: string, init: object) =>
      send(url, { ...init, dispatcher: dispatcherFor(new URL(url)) })) as unknown as typeof fetch,
    proxy: proxy?.name,
    close: async () => void (await Promise.all([direct.close(), outward === direct ? undefined : outward.close()]))
  }
}

async function readCertificates(path: string, terminal: Terminal): Promise<readonly string[]> {
  const content = await readGivenFile(path, '--ca', terminal)
  const certificates = content.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
  if (certificates.length === 0)
    throw new UsageError('--ca: the file has no certificate in PEM (-----BEGIN CERTIFICATE-----).')
  for (const one of certificates) {
    try {
      new X509Certificate(one)
    } catch (cause) {
      throw new UsageError('--ca: the file has a certificate that cannot be read.', { cause })
    }
  }
  return certificates
}
