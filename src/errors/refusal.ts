/**
 * The base of all refusals: a response with a challenge (RFC 6750 §3, RFC 9110 §11.6.1), one line per accepted scheme.
 * The server decides which schemes are listed; the request decides which one carries the error.
 *
 * Tests: `test/errors/errors.test.ts`.
 */

import type { HeaderFields, Scheme } from '../types.js'
import { type ChallengeParameters, formatChallenge } from './challenge.js'
import { ResourceServerError } from './resource-server-error.js'

/** The server's own values in a challenge. */
export interface Advertisement {
  readonly realm?: string | undefined
  /** Schemes that this server advertises, in order. */
  readonly schemes?: readonly Scheme[]
  /** RFC 9449 §7.1. */
  readonly algs?: readonly string[] | undefined
  readonly resourceMetadata?: string | undefined
}

/** The values of one request in a challenge. */
export interface Occasion {
  /** The scheme that the request used, if it is accepted here and the only one. */
  readonly used?: Scheme | undefined
  /** Scopes that the route needs, without duplicates. */
  readonly scope?: readonly string[] | undefined
  /** Fields that scripts of another origin can read only if exposed (RFC 9449 §7.1); empty for the same origin. */
  readonly expose?: readonly string[]
}

const BEARER: readonly Scheme[] = Object.freeze(['Bearer'])
const DPOP: readonly Scheme[] = Object.freeze(['DPoP'])
/** For an error that no server advertises for: its challenge has its own values alone. */
const NO_SERVER: Advertisement = Object.freeze({})
/** A challenge needs a parameter. */
const NO_SERVER_NO_CODE: Advertisement = Object.freeze({ realm: 'api' })
const NO_OCCASION: Occasion = Object.freeze({})

/** The request was refused; the response carries a challenge (RFC 6750 §3, RFC 9110 §11.6.1). */
export abstract class Refusal extends ResourceServerError {
  #server: Advertisement | undefined
  #occasion: Occasion = NO_OCCASION

  protected ownHeaders(): HeaderFields {
    return this.#answer(this.#server ?? (this.code === undefined ? NO_SERVER_NO_CODE : NO_SERVER), this.#occasion)
  }

  /** Adds the server's values. Only `authorize.ts` and token lifetimes call it. @internal */
  advertise(server: Advertisement, occasion: Occasion = NO_OCCASION): this {
    this.#server = server
    this.#occasion = occasion
    this.forgetHeaders()
    return this
  }

  /** Scopes for the challenge. By default those that the route advertises. */
  protected requiredScopes(advertised: readonly string[] | undefined): readonly string[] | undefined {
    return advertised
  }

  /** Challenge parameters that only this error has. */
  protected ownParameters(): Pick<ChallengeParameters, 'acrValues' | 'maxAge'> | undefined {
    return undefined
  }

  /** Header fields that only this error has. */
  protected ownFields(): HeaderFields | undefined {
    return undefined
  }

  /**
   * Formats one line per scheme. A client that used DPoP gets only a DPoP challenge, since its token works with no
   * other scheme. Any other client gets every scheme, with the error under the scheme it used (RFC 9449 §7.2).
   */
  #answer(server: Advertisement, { used, scope, expose }: Occasion): HeaderFields {
    const { schemes = BEARER } = server
    const scopes = this.requiredScopes(scope)
    const lines: string[] = []
    for (const scheme of used === 'DPoP' ? DPOP : schemes)
      lines.push(this.#challenge(scheme, used === undefined || used === scheme, server, scopes))
    const fields: Record<string, string | readonly string[]> = {
      'WWW-Authenticate': lines,
      'Cache-Control': 'no-store'
    }
    if (expose !== undefined && expose.length > 0) fields['Access-Control-Expose-Headers'] = expose.join(', ')
    const own = this.ownFields()
    return own === undefined ? fields : { ...fields, ...own }
  }

  /** Clients without a token come often, so the parameters are one object, without copies. */
  #challenge(
    scheme: Scheme,
    hasError: boolean,
    { realm, algs, resourceMetadata }: Advertisement,
    scope: readonly string[] | undefined
  ): string {
    const isSaid = hasError && this.code !== undefined
    const own = isSaid ? this.ownParameters() : undefined
    return formatChallenge(scheme, {
      realm,
      error: isSaid ? this.code : undefined,
      errorDescription: isSaid ? this.description : undefined,
      scope,
      acrValues: own?.acrValues,
      maxAge: own?.maxAge,
      algs: scheme === 'DPoP' ? algs : undefined,
      resourceMetadata
    })
  }
}
