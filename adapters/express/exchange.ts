/** Tells the code that adapters share about Express: its request, its response, and how middleware ends. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { requireAccess } from '../shared/access.js'
import type { Handling } from '../shared/enforce.js'
import { headersOf } from '../shared/headers.js'
import { NodeRequest } from '../shared/node-request.js'
import { passable, surface } from '../shared/refusals.js'
import { createRun, type Run } from '../shared/run.js'
import { type ExpressApp, hasErrorHandler } from './error-handlers.js'

/** The used part of an Express request, besides `node:http`'s. */
export interface ExpressRequest extends IncomingMessage {
  originalUrl?: string | undefined
  baseUrl?: string | undefined
  auth?: unknown
  /** Set by Express. */
  res?: ServerResponse | undefined
}

/** A middleware of Express 4 and 5, by shape. */
export type ExpressHandler = (
  request: ExpressRequest,
  response: ServerResponse,
  next: (error?: unknown) => void
) => void

/** Express shortens `url` in a router, and keeps the whole target. */
export function read(request: ExpressRequest): NodeRequest {
  return new ExpressNodeRequest(request, request.originalUrl)
}

class ExpressNodeRequest extends NodeRequest {
  override get mistake(): string | undefined {
    return super.mistake ?? (hasErrorHandler((this.host as { readonly app?: ExpressApp }).app) ? undefined : NO_HANDLER)
  }
}

const NO_HANDLER =
  'The app has no error handler, so Express answers refusals with HTML, drops CORS fields, and prints an error for each. Mount errorHandler() last: app.use(errorHandler()).'

type Next = (error?: unknown) => void

/** Decides one request. */
export const run: Run<ExpressRequest, ServerResponse, Next, void> = createRun({
  load: ({ auth }: ExpressRequest) => auth,
  save: (request, access) => {
    request.auth = access
  },
  headersOf,
  isSent: ({ headersSent }: ServerResponse) => headersSent,
  refuse
})

function refuse(error: unknown, response: ServerResponse, next: Next): void {
  // A timeout middleware has answered meanwhile.
  if (response.headersSent) return
  let failure: unknown
  try {
    failure = surface(error, ...headersOf(response))
  } catch (fault) {
    // Inside an unhandled promise, this would end the process.
    failure = fault
  }
  next(failure)
}

/** For `enforce` in a handler. */
export const handling: Handling<ExpressRequest> = {
  getAuth: ({ auth }) => requireAccess(auth, 'this request'),
  read,
  toThrow: (error, { res }) => (res && !res.headersSent ? surface(error, ...headersOf(res)) : passable(error))
}
