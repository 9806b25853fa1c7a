/**
 * What all refusals have in common: an answer with a challenge (RFC 6750 §3, RFC 9110 §11.6.1), one line for each scheme
 * that would do. Which schemes those are is the server's to say; which one has the error, the request's.
 */

import type { HeaderFields, Scheme } from '../types.js'
import { type ChallengeParameters, formatChallenge } from './challenge.js'
import { ResourceServerError } from './resource-server-error.js'

/** What a server says about itself in a challenge. */
export interface Advertisement {
  readonly realm?: string | undefined
  /** The schemes that this server asks for, in order. */
  readonly schemes?: readonly Scheme[]
  /** The one that the request used, if it is accepted here and there is only one. */
  readonly used?: Scheme | undefined
  /** The scopes that the route needs, all of them once. */
  readonly scope?: readonly string[] | undefined
  /** RFC 9449 §7.1. */
  readonly algs?: readonly string[] | undefined
  readonly resourceMetadata?: string | undefined
  /** Fields that a script of another origin may read only if they are exposed (RFC 9449 §7.1); none for the same origin. */
  readonly expose?: readonly string[]
}

/** The request's fault: its answer has a challenge (RFC 6750 §3, RFC 9110 §11.6.1). */
export abstract class Refusal extends ResourceServerError {
  #advertisement: Advertisement | undefined

  protected ownHeaders(): HeaderFields {
    // Thrown where no server advertises: a challenge all the same, of what the error itself knows.
    return this.#answer(this.#advertisement ?? { realm: this.code === undefined ? 'api' : undefined })
  }

  /** @internal The one place where a refusal learns what the server advertises. */
  advertise(advertisement: Advertisement): this {
    this.#advertisement = advertisement
    this.forgetHeaders()
    return this
  }

  /** The scopes to ask for, where they differ from those the route advertises; undefined leaves those. */
  protected requiredScopes(advertised: readonly string[] | undefined): readonly string[] | undefined {
    return advertised
  }

  /** Parameters of the challenge that only this error has. */
  protected ownParameters(): ChallengeParameters {
    return {}
  }

  /** Header fields that only this error has. */
  protected ownFields(): HeaderFields {
    return {}
  }

  /**
   * One line a scheme. A client that used DPoP is told of DPoP alone, since nothing else would do with its token; any
   * other is told of every scheme, and of the error under the one it used (RFC 9449 §7.2).
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
