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
  /** The scheme that the request used, if it is accepted here and the only one. */
  readonly used?: Scheme | undefined
  /** Scopes that the route needs, without duplicates. */
  readonly scope?: readonly string[] | undefined
  /** RFC 9449 §7.1. */
  readonly algs?: readonly string[] | undefined
  readonly resourceMetadata?: string | undefined
  /** Fields that scripts of another origin can read only if exposed (RFC 9449 §7.1); empty for the same origin. */
  readonly expose?: readonly string[]
}

/** The request was refused; the response carries a challenge (RFC 6750 §3, RFC 9110 §11.6.1). */
export abstract class Refusal extends ResourceServerError {
  #advertisement: Advertisement | undefined

  protected ownHeaders(): HeaderFields {
    // Thrown outside of a server: the challenge then has only the error's own values.
    return this.#answer(this.#advertisement ?? { realm: this.code === undefined ? 'api' : undefined })
  }

  /** Adds the server's values. Only `authorize.ts` and token lifetimes call it. @internal */
  advertise(advertisement: Advertisement): this {
    this.#advertisement = advertisement
    this.forgetHeaders()
    return this
  }

  /** Scopes for the challenge. By default those that the route advertises. */
  protected requiredScopes(advertised: readonly string[] | undefined): readonly string[] | undefined {
    return advertised
  }

  /** Challenge parameters that only this error has. */
  protected ownParameters(): ChallengeParameters {
    return {}
  }

  /** Header fields that only this error has. */
  protected ownFields(): HeaderFields {
    return {}
  }

  /**
   * Formats one line per scheme. A client that used DPoP gets only a DPoP challenge, since its token works with no
   * other scheme. Any other client gets every scheme, with the error under the scheme it used (RFC 9449 §7.2).
   */
  #answer({
    realm,
    schemes = ['Bearer'],
    used,
    scope,
    algs,
    resourceMetadata,
    expose = []
  }: Advertisement): HeaderFields {
    const common = { realm, scope: this.requiredScopes(scope), resourceMetadata }
    const error =
      this.code === undefined ? {} : { error: this.code, errorDescription: this.description, ...this.ownParameters() }
    const lines = (used === 'DPoP' ? [used] : schemes).map((scheme) =>
      formatChallenge(scheme, {
        ...common,
        ...((used === undefined || used === scheme) && error),
        algs: scheme === 'DPoP' ? algs : undefined
      })
    )
    return {
      'WWW-Authenticate': lines,
      'Cache-Control': 'no-store',
      ...this.ownFields(),
      ...(expose.length > 0 && { 'Access-Control-Expose-Headers': expose.join(', ') })
    }
  }
}
