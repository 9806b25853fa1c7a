/** Decides a WHATWG `Request`, and creates the `Response` that refuses. Tests: `test/adapters/fetch.test.ts`. */
import {
  type Granted,
  type HeaderFields,
  type Requirement,
  type ResourceServer,
  ResourceServerError
} from '../../src/index.js'
import type { Connection } from '../shared/connection.js'
import { type Render, responseOf } from '../shared/error-body.js'
import { FetchRequest } from '../shared/fetch-request.js'

/** Decides one `Request`: returns the access, or the `Response` that refuses. */
export interface FetchProtection<Decision> {
  /**
   * @param connection the request's socket, needed for client certificates or `trustedProxies`: a `Request` does not
   * expose it
   */
  (request: Request, connection?: Connection): Promise<Decision | Response>
  /** Header fields for every response of the route: `Vary`, where a token is optional. */
  readonly headers: HeaderFields
}

/** @param render creates the body of a refusal */
export function createGuard<
  Scope extends string,
  Role extends string,
  const R extends readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
>(api: ResourceServer<Scope, Role>, requirements: R, render: Render): FetchProtection<Granted<R>> {
  const protection = api.protect(...requirements)
  const decide = async (request: Request, connection?: Connection): Promise<Granted<R> | Response> => {
    try {
      return await protection.authorize(new FetchRequest(request, connection))
    } catch (error) {
      if (error instanceof ResourceServerError) return responseOf(error, render)
      throw error
    }
  }
  return Object.assign(decide, { headers: protection.headers })
}
