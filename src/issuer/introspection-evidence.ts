/**
 * A 400 of an introspection endpoint may be about the token or about our request; RFC 7662 provides for neither. Only a 400
 * about the token may refuse it. If our own credentials are wrong, a valid token must not be refused as inactive. This
 * module tells the two apart for one issuer.
 *
 * Tests: `test/rfc/rfc7662-introspection.test.ts`.
 */
import { hash } from 'node:crypto'
import type { Answer } from '../http/exchange.js'

export interface IntrospectionEvidence {
  /**
   * Records that the server answered 200 about a token, so it accepted our credentials.
   *
   * @param time seconds since the epoch
   */
  answered(token: string, time: number): void
  /**
   * @param anonymous sends a made-up token without our credentials; undefined if an empty 400 proves nothing
   * @returns the evidence that a 400 is about this token and not about our request; undefined without evidence
   * @throws {Unavailable} the server did not answer `anonymous`
   */
  aboutToken(
    answer: Answer,
    token: string,
    time: number,
    anonymous: (() => Promise<Answer>) | undefined
  ): Promise<string | undefined>
}

/** Seconds for which a 200 about one token is evidence that a 400 about another one is not about our credentials. */
const WITNESS_FOR = 10
/** Seconds for which the answer to a request without credentials is remembered. */
const ANONYMOUS_FOR = 600
/** Error codes about our request, whatever token it asks about (RFC 6749 §5.2). */
const ABOUT_US = /invalid_client|unauthorized_client|invalid_request/

interface Witness {
  /** Digest of the token. */
  readonly token: string
  /** Seconds since the epoch. */
  readonly at: number
}

export function createIntrospectionEvidence(): IntrospectionEvidence {
  /** The latest two tokens that the server answered 200 about, the later first. */
  let witnesses: readonly Witness[] = []
  /** The latest test whether the server rejects a request without credentials before it reads the token. */
  let check: { readonly at: number; readonly checksCredentials: Promise<boolean> } | undefined

  const isWitnessed = (token: string, time: number): boolean => {
    const digest = hash('sha256', token, 'base64url')
    return witnesses.some(({ token: other, at }) => other !== digest && at <= time && time - at <= WITNESS_FOR)
  }

  /** Concurrent callers share one request. A failed request is not remembered: the next 400 sends another. */
  const checksCredentials = (time: number, anonymous: () => Promise<Answer>): Promise<boolean> => {
    if (check !== undefined && check.at <= time && time - check.at <= ANONYMOUS_FOR) return check.checksCredentials
    const checking = { at: time, checksCredentials: anonymous().then(({ status }) => status === 401) }
    check = checking
    checking.checksCredentials.catch(() => {
      if (check === checking) check = undefined
    })
    return checking.checksCredentials
  }

  return {
    answered: (token, time) => {
      const latest = { token: hash('sha256', token, 'base64url'), at: time }
      witnesses = [latest, ...witnesses.filter((one) => one.token !== latest.token).slice(0, 1)]
    },
    aboutToken: async ({ body }, token, time, anonymous) => {
      if (ABOUT_US.test(body)) return undefined
      if (isWitnessed(token, time)) return '200 to another one within 10 s'
      // The server would have answered 401 to wrong credentials too (RFC 7662 §2.3), and an error code to a bad request.
      if (anonymous && body.trim() === '' && (await checksCredentials(time, anonymous)))
        return '401 to a request without credentials, so it accepted ours'
      return undefined
    }
  }
}

/** The `error` of a 400, if it is a plain word that the token does not contain: it is written to the log. */
export function errorOf(body: unknown, token: string): string | undefined {
  const error = (body as { readonly error?: unknown } | null | undefined)?.error
  return typeof error === 'string' && /^[a-z_]{1,40}$/.test(error) && !token.includes(error) ? error : undefined
}
