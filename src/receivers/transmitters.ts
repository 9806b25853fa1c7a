/**
 * Reads the settings of each transmitter that may push security events to this API, and derives the URL of its metadata
 * (Shared Signals Framework 1.0 §7.1). A transmitter may revoke only tokens of its configured issuers.
 *
 * Does NOT read events: see `security-events.ts`.
 *
 * Tests: `test/rfc/rfc8935-set.test.ts`.
 */
import { timingSafeEqual } from 'node:crypto'
import { digestKey } from '../base/cache.js'
import type { Problems } from '../base/options/problems.js'
import type { IssuerOptions } from '../issuer/settings.js'
import type { Internals } from '../server/internals.js'
import { requireTokenIssuers, type Sender, type SenderKeyOptions } from './receiver.js'

/** A transmitter that may push security events. */
export interface TransmitterOptions extends SenderKeyOptions {
  /** Exactly the `iss` of its events. Without `jwks` or `jwksUri`, its keys are found through its SSF metadata (SSF 1.0 §7.1). */
  readonly issuer: string
  /** The audience of this stream, which `aud` of its events must contain (SSF 1.0 §8.1.1). Default: `resource`. */
  readonly audience?: string | readonly string[]
  /** The whole `Authorization` field that the transmitter was told to send (SSF 1.0 §6.1.1): `'Bearer …'`. A second value, the previous one, is still accepted. Default: the field is not checked. */
  readonly authorization?: string | readonly [current: string, previous: string]
  /** Issuers whose access tokens its events may revoke. Default: `issuer`. Without the function `revocations`, this server must accept each of them. */
  readonly tokenIssuers?: readonly string[]
  /** True if access tokens have a claim `sid`: then an event about one session revokes that session. Default false: it revokes all tokens of the user. */
  readonly tokensHaveSid?: boolean
}

interface Own {
  readonly authorizations: readonly string[]
  readonly tokenIssuers: readonly string[]
  readonly tokensHaveSid: boolean
}

/** The settings of a transmitter, with its keys. */
export type Transmitter = Own & Sender

/** True for a registered `Authorization` field, and for every field if none is registered. */
export function isAuthorized({ authorizations }: Transmitter, received: string | undefined): boolean {
  const given = digestKey(received ?? '')
  // All digests have the same length, as timingSafeEqual requires.
  const isKnown = authorizations.some((one) => timingSafeEqual(Buffer.from(digestKey(one)), Buffer.from(given)))
  return authorizations.length === 0 || isKnown
}

const OPTIONS = [
  'issuer',
  'audience',
  'authorization',
  'tokenIssuers',
  'tokensHaveSid',
  'jwks',
  'jwksUri',
  'metadataUrl',
  'algorithms'
]

/** @param isInterpreted  the application maps events to revocations, so issuers that this server does not accept are allowed */
export function readTransmitter(
  entry: TransmitterOptions,
  path: string,
  problems: Problems,
  internals: Internals,
  isInterpreted: boolean
): { readonly own: Own; readonly keys: IssuerOptions } {
  problems.unknownKeys(entry, `${path}.`, OPTIONS)
  const { issuer, authorization = [], tokenIssuers: given = [issuer], tokensHaveSid } = entry
  const tokenIssuers = problems.names(given, `${path}.tokenIssuers`)
  // An unset environment variable must not turn the check off.
  if ('authorization' in entry && [entry.authorization].flat().every((one) => one === undefined))
    problems.add(
      `${path}.authorization`,
      'is undefined',
      'set it (is a variable unset?), or leave it out if senders need no authorization'
    )
  if (!isInterpreted) requireTokenIssuers(tokenIssuers, `${path}.tokenIssuers`, problems, internals)
  return {
    own: {
      authorizations: problems.names([authorization].flat(), `${path}.authorization`),
      tokenIssuers,
      tokensHaveSid: problems.optional<boolean>(tokensHaveSid, `${path}.tokensHaveSid`, 'boolean') ?? false
    },
    keys: keysOf(entry)
  }
}

/** The options of an issuer, except that the metadata is at the SSF URL. */
function keysOf({ issuer, audience, jwks, jwksUri, algorithms, metadataUrl }: TransmitterOptions): IssuerOptions {
  const isGiven = jwks !== undefined || jwksUri !== undefined || metadataUrl !== undefined
  const found = isGiven ? metadataUrl : ssfMetadataUrl(issuer)
  return {
    issuer,
    ...(audience !== undefined && { audience }),
    ...(jwks !== undefined && { jwks }),
    ...(jwksUri !== undefined && { jwksUri }),
    ...(algorithms !== undefined && { algorithms }),
    ...(found !== undefined && { metadataUrl: found })
  }
}

/** SSF 1.0 §7.1: the well-known path goes between host and path. undefined if the issuer is not a URL: a later check reports that. */
function ssfMetadataUrl(issuer: string): string | undefined {
  if (!URL.canParse(issuer)) return undefined
  const { origin, pathname } = new URL(issuer)
  return `${origin}/.well-known/ssf-configuration${pathname.replace(/\/$/, '')}`
}
