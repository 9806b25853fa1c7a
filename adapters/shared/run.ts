/**
 * Runs a protection in frameworks whose middleware gets a request, a response and a way to continue: Express, Koa and
 * Fastify. A known token is accepted in the same tick, without a promise or a closure.
 */
import { isPromise } from '../../src/adapter.js'
import type { Access, Awaitable, Protection, ResourceRequest } from '../../src/index.js'
import { findAccess } from './access.js'
import { addHeaders, type HeaderAccess, isEmpty } from './headers.js'

/** How a framework stores an access, and what it does with a refusal. */
export interface Framework<Request, Response, Next extends () => Result, Result> {
  /** The value that an earlier `protect` stored, or another package. */
  readonly load: (request: Request) => unknown
  readonly save: (request: Request, access: Access | undefined) => void
  readonly headersOf: (response: Response) => HeaderAccess
  /** True once a response has begun. */
  readonly isSent: (response: Response) => boolean
  /** Passes the error on, with its header fields. */
  readonly refuse: (error: unknown, response: Response, next: Next) => Result
}

/** Decides one request: continues, or refuses. */
export type Run<Request, Response, Next, Result> = (
  protection: Protection<Access | undefined>,
  asked: ResourceRequest,
  request: Request,
  response: Response,
  next: Next
) => Result | Promise<Result | undefined>

/** @returns a function that returns what `next` or `refuse` returned, and undefined if other code answered meanwhile */
export function createRun<Request, Response, Next extends () => Result, Result>({
  load,
  save,
  headersOf,
  isSent,
  refuse
}: Framework<Request, Response, Next, Result>): Run<Request, Response, Next, Result> {
  const pass = (access: Access | undefined, request: Request, response: Response, next: Next): Result => {
    save(request, access)
    if (access !== undefined && !isEmpty(access.responseHeaders) && !isSent(response))
      addHeaders(access.responseHeaders, ...headersOf(response))
    return next()
  }
  const passLater = (
    access: Promise<Access | undefined>,
    request: Request,
    response: Response,
    next: Next
  ): Promise<Result | undefined> => {
    const hadBegun = isSent(response)
    return access.then(
      // If other code, such as a timeout, has answered meanwhile, later handlers must not run.
      (known) => (hadBegun || !isSent(response) ? pass(known, request, response, next) : undefined),
      (error: unknown) => refuse(error, response, next)
    )
  }
  return (protection, asked, request, response, next) => {
    if (!isEmpty(protection.headers)) addHeaders(protection.headers, ...headersOf(response))
    let access: Awaitable<Access | undefined>
    try {
      access = protection.authorize(asked, findAccess(load(request)))
    } catch (error) {
      return refuse(error, response, next)
    }
    return isPromise(access)
      ? passLater(Promise.resolve(access), request, response, next)
      : pass(access, request, response, next)
  }
}
