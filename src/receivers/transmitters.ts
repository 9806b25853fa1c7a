/**
 * Who may push security events to this API: what is configured of each transmitter, and where its keys are found by its
 * metadata (Shared Signals Framework 1.0 §7.1). It speaks for the issuers that it is configured with, and no others.
 *
 * Does NOT read events: see `security-events.ts`.
 */
import { timingSafeEqual } from 'node:crypto'
import { digestKey } from '../base/cache.js'
import type { Problems } from '../base/problems.js'
import type { IssuerOptions } from '../issuer/settings.js'
import type { Internals } from '../server/internals.js'
import { requireTokenIssuers, type Sender, type SenderKeyOptions } from './receiver.js'

/** Somebody who may push security events. */
export interface TransmitterOptions extends SenderKeyOptions {
  /** `iss` of its events, to the letter. Without `jwks` or `jwksUri`, its keys are found by its SSF metadata (SSF 1.0 §7.1). */
  readonly issuer: string
  /** What `aud` of its events must hold: this stream's audience (SSF 1.0 §8.1.1). Default: `resource`. */
  readonly audience?: string | readonly string[]
  /** The `Authorization` field that it was told to send (SSF 1.0 §6.1.1), whole: `'Bearer …'`. A second one, the one before, is still accepted. Default: none is asked for. */
  readonly authorization?: string | readonly [current: string, previous: string]
  /** Issuers of access tokens whose tokens its events may revoke. Default: `issuer`. Without the function `revocations`, each must be accepted here. */
  readonly tokenIssuers?: readonly string[]
  /** True where access tokens have a claim `sid`: an event about one session of a user leaves the others alone. Default false: it revokes all of the user's. */
  readonly tokensHaveSid?: boolean
}

interface Own {
  readonly authorizations: readonly string[]
  readonly tokenIssuers: readonly string[]
  readonly tokensHaveSid: boolean
}

/** A transmitter as configured, with its keys. */
export type Transmitter = Own & Sender

/** True for the `Authorization` field that was registered, and for any where none was. */
export function isAuthorized({ authorizations }: Transmitter, received: string | undefined): boolean {
  const given = digestKey(received ?? '')
  // Digests are of one length, and compared in one time.
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

/** @param isInterpreted its events may be about users whom the application tells */
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
  // A variable that is not set must not come to mean that nobody is asked.
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

/** Its keys are found as an issuer's are, but for where its metadata is. */
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

/** SSF 1.0 §7.1: the well-known path goes between host and path. undefined where the issuer is no URL, which is found elsewhere. */
function ssfMetadataUrl(issuer: string): string | undefined {
  if (!URL.canParse(issuer)) return undefined
  const { origin, pathname } = new URL(issuer)
  return `${origin}/.well-known/ssf-configuration${pathname.replace(/\/$/, '')}`
}
