/**
 * How `doctor` asks an authorization server: by the exchange of the resource server, within the same bounds of time and
 * bytes. It remembers what was asked, and whether anything was reached.
 */
import { ResourceServerError, Unavailable } from '../errors/errors.js'
import { type Answer, createHttp, type Exchange, type Http } from '../http/exchange.js'
import type { HttpSettings } from '../http/settings.js'
import { causeOf, certificateRemedy } from './causes.js'

export interface Asking {
  readonly http: Http
  /** The URLs that were asked for, in this order, each once. */
  readonly asked: ReadonlySet<string>
  /** What is known of a failed exchange, beyond its problem: one line each. */
  details(url: string): readonly string[]
  /** True once some server has answered, be it wrong or late. */
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

/** A cause in words, and a cure where there is one. */
function detailsOf(cause: unknown): readonly string[] {
  const words = causeOf(cause)
  const isTold = cause === undefined || (cause as Error).name === 'TimeoutError' || words === undefined
  return isTold ? [] : [words, certificateRemedy(cause)].filter((line) => line !== undefined)
}

/** What went wrong, for the operator; any error that is not of this package is thrown on. */
export function problemOf(error: unknown): string {
  if (error instanceof Unavailable) return error.problem
  if (error instanceof ResourceServerError) return error.hint
  throw error
}
