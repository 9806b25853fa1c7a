/**
 * Reads the arguments of `oauth-resource-server issuer`.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import { readArguments, UsageError } from '../command.js'

/** The address that is used without `--host`: other machines cannot reach it. */
const LOOPBACK = '127.0.0.1'
const DEFAULT_PORT = 4010
const DEFAULT_USER = 'alice'
/** Maximum characters of a user's name, as OpenID Connect Core §2 limits `sub`. */
const MAX_USER = 255

export interface IssuerSettings {
  /** The APIs that tokens are issued for, at least one. The first one is the default (RFC 8707 §2). */
  readonly resources: readonly string[]
  readonly scopes: readonly string[]
  /** The person who gives consent in the browser: `sub` of the tokens. */
  readonly user: string
  readonly host: string
  /** Origin by which APIs and clients call this issuer. Undefined: host and port. */
  readonly issuer: string | undefined
  /** 0 for any free port. */
  readonly port: number
  /** Access tokens are opaque, not JWTs. */
  readonly opaque: boolean
}

export const ISSUER_HELP: string = `Usage:
  oauth-resource-server issuer --resource URL [--scope SCOPE] [options]

Starts an authorization server for development, and prints the variables to
start your API with and a curl with a token. Ctrl-C ends it. Its keys and
secrets are new at each start. Not for production: it has no login.

  --resource URL   an API that tokens are for; repeat it for several
  --scope SCOPE    a scope that tokens may have; repeat it for several
  --opaque         issue opaque tokens, which the API introspects, not JWTs
  --port NUMBER    default ${DEFAULT_PORT}; 0 for any free port
  --user NAME      the person who gives consent in the browser; default ${DEFAULT_USER}
  --host HOST      listen on this name or address of this machine, which other
                   machines may reach; default ${LOOPBACK}
  --issuer URL     the issuer's name, if it is called by another than HOST and
                   NUMBER, as in a container: --host 0.0.0.0 with
                   --issuer http://localhost:${DEFAULT_PORT}

Registration of clients, consent in a browser, PKCE and refresh tokens need
the package oidc-provider: npm i -D oidc-provider

Exit code:
  0  ended by Ctrl-C, or its output was closed at the start
  1  it could not start
  2  the arguments are wrong
`

/** @throws {UsageError} naming the argument, and its right form */
export function readSettings(args: readonly string[]): IssuerSettings {
  const { values, positionals } = readArguments('issuer', args, {
    resource: { type: 'string', multiple: true, default: [] },
    scope: { type: 'string', multiple: true, default: [] },
    user: { type: 'string', default: DEFAULT_USER },
    host: { type: 'string', default: LOOPBACK },
    issuer: { type: 'string' },
    port: { type: 'string', default: String(DEFAULT_PORT) },
    opaque: { type: 'boolean', default: false }
  })
  const [stray] = positionals
  if (stray !== undefined) throw new UsageError(`issuer takes no argument without --, and got ${show(stray)}.`)
  return {
    resources: readResources(values.resource),
    scopes: readScopes(values.scope),
    user: readUser(values.user),
    host: readHost(values.host, values.issuer),
    issuer: readIssuer(values.issuer),
    port: readPort(values.port),
    opaque: values.opaque
  }
}

function readResources(resources: readonly string[]): readonly string[] {
  if (resources.length === 0) throw new UsageError('issuer needs the URL of your API: --resource http://localhost:3000')
  for (const resource of resources) {
    if (!/^https?:\/\//i.test(resource) || !URL.canParse(resource) || /\s/.test(resource))
      throw new UsageError(`--resource ${show(resource)} is not an http(s) URL: write --resource http://localhost:3000`)
    if (resource.includes('#'))
      throw new UsageError(
        `--resource ${show(resource)} has a fragment: remove the # and the text after it (RFC 8707 §2)`
      )
  }
  return [...new Set(resources)]
}

function readScopes(values: readonly string[]): readonly string[] {
  const scopes = values.flatMap((value) => value.split(' ')).filter(Boolean)
  for (const scope of scopes)
    if (!/^[\x21\x23-\x5B\x5D-\x7E]+$/.test(scope))
      throw new UsageError(
        `--scope ${show(scope)} is not a scope: use ASCII letters, digits and punctuation except " and \\ (RFC 6749 §3.3)`
      )
  return [...new Set(scopes)]
}

function readUser(user: string): string {
  if (user.trim() === '') throw new UsageError(`--user is empty: give a name, as --user ${DEFAULT_USER}`)
  if (user.length > MAX_USER || /\p{Cc}/u.test(user))
    throw new UsageError(`--user must have at most ${MAX_USER} characters, and no control characters`)
  return user
}

function readHost(host: string, issuer: string | undefined): string {
  if (/^(?:0\.0\.0\.0|::|\[::\]|)$/.test(host) && (host === '' || issuer === undefined))
    throw new UsageError(
      `--host ${show(host)} is not an address that an API can call: give the name or address at which the API reaches this machine, or add --issuer http://localhost:${DEFAULT_PORT}`
    )
  const name = hostInUrl(host)
  if (!/^[\w.:[\]-]+$/.test(name) || !URL.canParse(`http://${name}`) || new URL(`http://${name}`).hostname !== name)
    throw new UsageError(
      `--host ${show(host)} is not a host: give a name in lower case or an address, without scheme and port`
    )
  return host
}

function readIssuer(issuer: string | undefined): string | undefined {
  if (issuer === undefined) return undefined
  if (!issuer.startsWith('http://') || !URL.canParse(issuer) || new URL(issuer).origin !== issuer)
    throw new UsageError(
      `--issuer ${show(issuer)} is not an http origin: write --issuer http://localhost:${DEFAULT_PORT}, in lower case and without a path`
    )
  return issuer
}

function readPort(port: string): number {
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535)
    throw new UsageError(`--port ${show(port)} is not a port: give a number from 0 to 65535`)
  return Number(port)
}

/** A host as a URL spells it: an IPv6 address in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

function show(value: string): string {
  return JSON.stringify(value.slice(0, 200))
}
