/**
 * Sends the requests of `doctor` to an authorization server, with the resource server's own HTTP code and its limits of
 * time and bytes. Records the requested URLs, and whether any server answered.
 *
 * Tests: `test/cli/doctor.test.ts`.
 */
import { ResourceServerError, Unavailable } from '../../errors/errors.js'
import { type Answer, createHttp, type Exchange, type Http } from '../../http/exchange.js'
import type { HttpSettings } from '../../http/settings.js'
import { causeOf, certificateRemedy } from '../causes.js'

export interface Asking {
  readonly http: Http
  /** The requested URLs in order, without duplicates. */
  readonly asked: ReadonlySet<string>
  /** Details of a failed exchange, besides its problem: one line each. */
  details(url: string): readonly string[]
  /** True once a server has answered, even with an error or too late. */
  reached(): boolean
  close(): Promise<void>
}

export function createAsking(settings: HttpSettings): Asking {
  let isReached = false
  const asked = new Set<string>()
  const causes = new Map<string, unknown>()
  const { exchange, ...connections } = createHttp(settings, ({ failure }) => {
    isReached ||= failure !== 'could not be reached'
  })
  const send = async (request: Exchange): Promise<Answer> => {
    asked.add(request.url)
    try {
      return await exchange(request)
    } catch (error) {
      causes.set(request.url, (error as Error).cause)
      throw error
    }
  }
  return {
    http: Object.assign(send, { patience: exchange.patience }),
    asked,
    details: (url) => detailsOf(causes.get(url)),
    reached: () => isReached,
    close: () => connections.close()
  }
}

/** Describes a cause, and its correction if one is known. */
function detailsOf(cause: unknown): readonly string[] {
  const words = causeOf(cause)
  const isTold = cause === undefined || (cause as Error).name === 'TimeoutError' || words === undefined
  return isTold ? [] : [words, certificateRemedy(cause)].filter((line) => line !== undefined)
}

/** The problem, for the operator. Rethrows errors that are not from this package. */
export function problemOf(error: unknown): string {
  if (error instanceof Unavailable) return error.problem
  if (error instanceof ResourceServerError) return error.hint
  throw error
}
