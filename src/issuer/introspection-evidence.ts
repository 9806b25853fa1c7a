/**
 * A 400 of an introspection endpoint is about the token, or about our request; RFC 7662 provides for neither. Only the
 * first may refuse a token: a client whose credentials are wrong must not learn that its good token is not active. This
 * module holds what shows the difference, for one issuer.
 */
import { hash } from 'node:crypto'
import type { Answer } from '../http/exchange.js'

export interface IntrospectionEvidence {
  /**
   * Says that the server answered 200 about a token: it accepted our credentials.
   *
   * @param time seconds since the epoch
   */
  answered(token: string, time: number): void
  /**
   * What shows that a 400 is about this token and not about our request; undefined: nothing does.
   *
   * @param anonymous sends a made-up token without our credentials; undefined: an empty 400 shows nothing here
   * @throws {Unavailable} the server did not answer `anonymous`
   */
  aboutToken(
    answer: Answer,
    token: string,
    time: number,
    anonymous: (() => Promise<Answer>) | undefined
  ): Promise<string | undefined>
}

/** Seconds for which an answer to one token shows that a 400 to another one is not about our credentials. */
const WITNESS_FOR = 10
/** Seconds for which the answer to a request without credentials counts. */
const ANONYMOUS_FOR = 600
/** Errors that are about our request, whatever its token (RFC 6749 §5.2). */
const ABOUT_US = /invalid_client|unauthorized_client|invalid_request/

interface Witness {
  /** Digest of the token. */
  readonly token: string
  /** Seconds since the epoch. */
  readonly at: number
}

export function createIntrospectionEvidence(): IntrospectionEvidence {
  /** The latest two tokens that the server answered 200 to, the later first. */
  let witnesses: readonly Witness[] = []
  /** Whether the server refuses a request without credentials before it reads the token. */
  let check: { readonly at: number; readonly checksCredentials: Promise<boolean> } | undefined

  const isWitnessed = (token: string, time: number): boolean => {
    const digest = hash('sha256', token, 'base64url')
    return witnesses.some(({ token: other, at }) => other !== digest && at <= time && time - at <= WITNESS_FOR)
  }

  /** One request for all that wait for it. A failed one is not remembered: the next 400 asks again. */
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
      // Wrong credentials would have been 401 too (RFC 7662 §2.3), and a 400 about our request would name an error.
      if (anonymous && body.trim() === '' && (await checksCredentials(time, anonymous)))
        return '401 to a request without credentials, so it accepted ours'
      return undefined
    }
  }
}

/** The `error` of a 400, if it is a plain word and not from the token: it is written to the log. */
export function errorOf(body: unknown, token: string): string | undefined {
  const error = (body as { readonly error?: unknown } | null | undefined)?.error
  return typeof error === 'string' && /^[a-z_]{1,40}$/.test(error) && !token.includes(error) ? error : undefined
}
