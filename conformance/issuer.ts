/**
 * The authorization server that the suite serves for one run: the API under test is told to trust it. Its keys are fresh on each
 * run, so a configuration that was left behind trusts keys that no longer exist; remove it all the same.
 *
 * Not for production: any client gets any answer. Does NOT have a token endpoint: the checks make their tokens in process.
 *
 * Tests: `test/conformance/issuer.test.ts`.
 */
import { createPublicKey } from 'node:crypto'
import { createCertificate, thumbprint } from '../test-kit/keys.js'
import type { SuiteIssuer } from './check.js'
import { RunProblem } from './engine/select.js'
import { createEndpoints, type Documents, type TlsOptions } from './issuer/endpoints.js'
import type { Answer } from './issuer/failures.js'
import { createProofKey } from './issuer/proofs.js'
import { createStatusList, type StatusList } from './issuer/status-list.js'
import { Tokens } from './issuer/tokens.js'

/** The port that APIs are told to trust, if the user names no other. The second issuer has the next one. */
export const DEFAULT_PORT = 9797

/** Options of {@link startSuiteIssuer}. */
export interface SuiteIssuerOptions {
  /** Default 9797, and 9798 for the second issuer. 0: any free ports. */
  readonly port?: number
  /** The address to listen on, which is also the host of the issuer identifier. Default `127.0.0.1`. */
  readonly host?: string
  /** The issuer identifier, if the API reaches this server by another name: `http://host.docker.internal:9797`. */
  readonly issuer?: string
  /** Serves https with this certificate. */
  readonly tls?: TlsOptions
  /** `aud` of good tokens: the identifier of the API. */
  readonly audience: string
  /** `scope` of good tokens. Default: none. */
  readonly scope?: string
}

/** A {@link SuiteIssuer} that listens. */
export interface RunningIssuer extends SuiteIssuer {
  close(): Promise<void>
}

/**
 * Starts the authorization server of the suite, and a second one beside it.
 *
 * @throws {RunProblem} an identifier that cannot be served, a certificate that cannot be read, or a port in use: the message names the
 *   flag to change
 */
export async function startSuiteIssuer(options: SuiteIssuerOptions): Promise<RunningIssuer> {
  const { port = DEFAULT_PORT } = options
  const { issuer: first, ...shared } = options
  if (first !== undefined) requireIdentifier(first)
  const second = await startOne(
    { ...shared, port: port && port + 1, ...(first !== undefined && secondOf(first, port)) },
    undefined
  )
  try {
    return await startOne({ ...options, port }, second)
  } catch (error) {
    await second.close()
    throw error
  }
}

/** @throws {RunProblem} not an origin: the documents of this server are at its root */
function requireIdentifier(issuer: string): void {
  const isOrigin =
    URL.canParse(issuer) && /^https?:$/.test(new URL(issuer).protocol) && new URL(issuer).origin === issuer
  if (!isOrigin)
    throw new RunProblem(
      'The issuer (--issuer) must be http:// or https://, a host in lower case and a port, without a path or a final slash: http://host.docker.internal:9797.'
    )
}

/** The identifier of the second server, if the name of the first one shows its port: then the API reaches both by this name. */
function secondOf(first: string, port: number): { readonly issuer: string } | undefined {
  const url = new URL(first)
  if (port === 0 || url.port !== String(port)) return undefined
  url.port = String(port + 1)
  return { issuer: url.origin }
}

async function startOne(
  { port = DEFAULT_PORT, host = '127.0.0.1', issuer, tls, audience, scope }: SuiteIssuerOptions,
  second: RunningIssuer | undefined
): Promise<RunningIssuer> {
  let tokens: Tokens | undefined
  const endpoints = endpointsOf(() => documentsOf(tokens as Tokens), tls)
  const url = issuer ?? (await listen(endpoints, port, host))
  if (issuer !== undefined) await listen(endpoints, port, host)
  const made = new Tokens({ issuer: url, audience, scope })
  tokens = made
  const now = (): number => made.now()
  return {
    url,
    audience,
    canary: new URL('/canary/', url).href,
    second,
    requests: endpoints.requests,
    now,
    token: (flaw) => made.issue(flaw),
    opaque: (answer, flaw) => made.opaque(answer, flaw),
    listed: (claims) => made.listed(claims),
    revoke: (token) => made.revoke(token),
    signed: (typ, claims, key) => made.signed(typ, claims, key),
    dpopKey: (algorithm) => createProofKey(now, algorithm),
    certificate: () => createCertificate('client-1'),
    thumbprintOf: ({ cert }) => thumbprint(cert),
    publicKey: (algorithm) => publicKeyOf(made, algorithm),
    strangerCertificate: () => certificateOf(made),
    strangerKey: () => made.stranger('RS256').publicJwk,
    rotateKeys: () => made.rotateKeys(),
    get hasOddKeys() {
      return made.odd !== undefined
    },
    publishOddKeys: (isPublished, claims) => made.publishOddKeys(isPublished, claims),
    odd: (key) => {
      if (made.odd === undefined) throw new Error('the odd keys are not published')
      return made.odd.token(key)
    },
    fail: (endpoint, failure) => endpoints.fail(endpoint, failure),
    recover: () => endpoints.recover(),
    close: async () => {
      await Promise.all([endpoints.close(), second?.close()])
    }
  }
}

function endpointsOf(documents: () => Documents, tls: TlsOptions | undefined): ReturnType<typeof createEndpoints> {
  try {
    return createEndpoints(documents, tls)
  } catch (cause) {
    throw new RunProblem(
      `The certificate (--tls) and key (--tls-key) of the issuer cannot be used (${(cause as NodeJS.ErrnoException).code ?? (cause as Error).message}). Give both in PEM: the certificate, and the private key that belongs to it, without a passphrase.`,
      { cause }
    )
  }
}

const NO_ADDRESS: readonly string[] = ['ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL', 'EINVAL']

async function listen(endpoints: ReturnType<typeof createEndpoints>, port: number, host: string): Promise<string> {
  try {
    return await endpoints.listen(port, host)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    const change = NO_ADDRESS.includes(code)
      ? 'Give an address of this machine: --host 127.0.0.1, or 0.0.0.0 for all of them.'
      : 'End the process that uses the port, or name another one with --port.'
    throw new RunProblem(`The suite's authorization server cannot listen on ${host}:${port} (${code}). ${change}`, {
      cause: error
    })
  }
}

function documentsOf(tokens: Tokens): Documents {
  const { issuer } = tokens.options
  const place = (path: string): string => new URL(path, issuer).href
  const metadata = (more: Readonly<Record<string, unknown>>): Answer => [
    'application/json',
    JSON.stringify({
      issuer,
      jwks_uri: place('/keys'),
      introspection_endpoint: place('/introspect'),
      authorization_endpoint: place('/authorize'),
      token_endpoint: place('/token'),
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      ...more
    })
  ]
  const statusList = (list: StatusList, signer?: 'unpublished'): Answer => [
    'application/statuslist+jwt',
    tokens.signed(
      'statuslist+jwt',
      {
        sub: place('/status'),
        exp: Math.floor(tokens.now()) + 60,
        ttl: 1,
        status_list: list.content()
      },
      signer
    )
  ]
  return {
    metadata: () => metadata({}),
    lie: () => metadata({ issuer: 'https://another-issuer.example', jwks_uri: place('/lie/keys') }),
    keys: () => ['application/json', JSON.stringify({ keys: tokens.published })],
    'lie-keys': () => ['application/json', JSON.stringify({ keys: [tokens.stranger('RS256').publicJwk] })],
    introspection: (question) => tokens.introspect(question),
    'status-list': () => statusList(tokens.statusList),
    'forged-list': () => statusList(createStatusList(), 'unpublished')
  }
}

function certificateOf(tokens: Tokens): string {
  const { cert } = createCertificate('attacker', tokens.stranger('RS256').privateKey)
  return cert.replace(/-----[A-Z ]+-----|\s/g, '')
}

function publicKeyOf(
  tokens: Tokens,
  algorithm: Parameters<Tokens['keys']['of']>[0]
): ReturnType<SuiteIssuer['publicKey']> {
  const { privateKey, publicJwk } = tokens.keys.of(algorithm)
  return { jwk: publicJwk, pem: createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string }
}
