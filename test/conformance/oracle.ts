/**
 * An API of this package (the node adapter) that trusts the authorization server of the suite and has every feature: opaque tokens,
 * DPoP, certificates in a field, scopes, step-up, and revocation in four ways. It must pass every check.
 */
import type { RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { protect, protectedResourceMetadata } from '../../adapters/node.js'
import type { Declared, Need } from '../../conformance/check.js'
import { type RunningIssuer, startSuiteIssuer } from '../../conformance/issuer.js'
import {
  authentication,
  clientSecretBasic,
  logoutTokenReceiver,
  type Receiver,
  type ResourceServerOptions,
  resourceServer,
  scope,
  securityEventReceiver
} from '../../src/index.js'
import { listen } from './apis.js'
import { FACTS, FEATURES } from './declared.mjs'

export interface TestedApi {
  readonly url: string
  readonly issuer: RunningIssuer
  /** Forgets all that the API learned, as a new process does. */
  readonly restart: () => Promise<void>
}

/** As the facts of the reported adapters, and a route whose answer stays open. */
export const DECLARED: Declared = { ...FACTS, stream: '/stream' }

/** The oracle follows FAPI 2.0, too. */
export const HAS: readonly Need[] = [...FEATURES, 'fapi2']

/** @returns an issuer whose good tokens are for the API at this origin, until the test ends */
export async function issuerFor(origin: string): Promise<RunningIssuer> {
  const issuer = await startSuiteIssuer({ port: 0, audience: `${origin}/orders`, scope: 'orders:read' })
  onTestFinished(() => issuer.close())
  return issuer
}

export interface OracleOptions {
  /** Asks for signed introspection answers (RFC 9701). Default false. */
  readonly signedResponse?: boolean
  /** Default: one of its own. Keys take long to make, so tests share one. */
  readonly issuer?: RunningIssuer
  /** Answers a good token with 405 if the method is another one. Default: all methods are in order. */
  readonly method?: string
  /** Options of the resource server in place of those of the oracle. */
  readonly server?: Partial<ResourceServerOptions>
}

export async function startOracle(options: OracleOptions = {}): Promise<TestedApi> {
  let listener: RequestListener = () => {}
  const origin = await listen((request, response) => listener(request, response))
  const issuer = options.issuer ?? (await issuerFor(origin))
  const restart = async (): Promise<void> => {
    listener = listenerOf(origin, issuer, options)
  }
  await restart()
  return { url: `${origin}/orders`, issuer, restart }
}

function listenerOf(
  origin: string,
  issuer: RunningIssuer,
  { signedResponse = false, method, server }: OracleOptions
): RequestListener {
  const api = resourceServer({
    resource: issuer.audience,
    publicUrl: origin,
    issuers: [
      {
        issuer: issuer.url,
        introspection: {
          auth: clientSecretBasic('a secret of this test'),
          clientId: 'api',
          cacheFor: 0,
          signedResponse
        },
        tokens: 'both',
        statusList: true
      },
      { issuer: issuer.second?.url as string }
    ],
    scopes: ['orders:read', 'orders:write'],
    clientCertificate: { trustedProxies: ['127.0.0.1'] },
    // FAPI 2.0 §5.4.1. By default RS256 is accepted too.
    dpop: { algorithms: ['ES256', 'PS256', 'EdDSA'] },
    http: { timeout: 1, deadline: 2 },
    log: false,
    ...server
  })
  onTestFinished(() => api.close())
  const guards = {
    '/orders': protect(api, scope('orders:read')),
    '/write': protect(api, scope('orders:write')),
    '/admin': protect(api, authentication({ acr: 'strong', maxAge: 300 }))
  }
  const receivers: Readonly<Record<string, Receiver>> = {
    '/events': securityEventReceiver(api, { transmitters: [{ issuer: issuer.url, audience: api.resource }] }),
    '/logout': logoutTokenReceiver(api, { issuers: [{ issuer: issuer.url, clientId: 'client-1' }] })
  }
  const readStream = protect(api)
  const serveMetadata = protectedResourceMetadata(api)
  return async (request, response) => {
    // RFC 9112 §3.2. Node.js reads the first line.
    if (request.headersDistinct.host?.length !== 1) return response.writeHead(400).end()
    if (serveMetadata(request, response)) return
    const path = request.url?.split('?')[0] ?? ''
    const receive = receivers[path]
    if (receive !== undefined) {
      const { method = '', headers } = request
      const body = await text(request)
      const answer = await receive({ method, contentType: headers['content-type'], body })
      return response.writeHead(answer.status, answer.headers).end(answer.body)
    }
    if (path === '/stream') {
      const access = (await readStream(request, response))?.access
      if (access === undefined) return
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
      access.signal.addEventListener('abort', () => response.end(), { once: true })
      return
    }
    if (!Object.hasOwn(guards, path)) return response.writeHead(404).end()
    const guard = guards[path as keyof typeof guards]
    if (!(await guard(request, response))) return
    if (method !== undefined && request.method !== method) response.writeHead(405, { Allow: method }).end()
    else response.writeHead(200, { 'Content-Type': 'application/json' }).end('[]')
  }
}
