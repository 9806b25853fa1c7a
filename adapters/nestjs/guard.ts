/** The guard that decides, and the filter that answers its refusals. */
import {
  type ArgumentsHost,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  Inject,
  Injectable
} from '@nestjs/common'
import { type Access, CredentialsMissing, type Protection, ResourceServerError } from '../../src/index.js'
import { findAccess } from '../shared/access.js'
import { addHeaders } from '../shared/headers.js'
import { passable, surface } from '../shared/refusals.js'
import { createRun, type Run } from '../shared/run.js'
import { answer, graphqlError, RefusalException, tellClient } from './answers.js'
import {
  exchangeOf,
  headersOf,
  isSent,
  type NestExchange,
  type NestRequest,
  type NestResponse,
  read
} from './exchange.js'
import { SETTINGS, type Settings } from './settings.js'

const run: Run<NestRequest, NestResponse, () => boolean, boolean> = createRun({
  load: ({ auth }: NestRequest) => auth,
  save,
  headersOf,
  isSent,
  refuse: (error, response): boolean => {
    throw asException(error, response)
  }
})

/** Sets the header fields of a refusal, if there is a response for them. @returns the error to throw */
function asException(error: unknown, response: NestResponse): object {
  const surfaced = isSent(response) ? passable(error) : surface(error, ...headersOf(response))
  return surfaced instanceof ResourceServerError ? new RefusalException(surfaced) : surfaced
}

/** Responses of requests over HTTP: a handler that calls `enforce()` has the request alone. */
const responses = new WeakMap<NestRequest, NestResponse>()

/** Makes the error that `enforce()` throws: over HTTP that of the guard, and elsewhere the refusal itself. */
export function toThrow(error: unknown, request: NestRequest): object {
  const response = responses.get(request)
  return response === undefined ? passable(error) : asException(error, response)
}

function save(request: NestRequest, access: Access | undefined): void {
  request.auth = access
}

const pass = (): boolean => true

/** Decisions by Nest's context of a call: with a global guard and decorators, several guards run for one call. */
const decisions = new WeakMap<ExecutionContext, Promise<boolean>>()

/** Decides for each handler by its own requirements. Registered globally by the module, and by each `Protect()`. */
export class AccessTokenGuard implements CanActivate {
  readonly #settings: Settings

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /** @throws {RefusalException} over HTTP, for the filter; elsewhere {ResourceServerError} */
  canActivate(context: ExecutionContext): Promise<boolean> {
    let decision = decisions.get(context)
    if (decision === undefined) {
      decision = this.#decide(context)
      decisions.set(context, decision)
    }
    return decision
  }

  async #decide(context: ExecutionContext): Promise<boolean> {
    const protection = this.#settings.protectionOf(context.getClass(), context.getHandler())
    if (protection === null) return true
    const { request, response } = exchangeOf(context)
    if (context.getType() !== 'http' || response === undefined)
      return decideShared(this.#settings, protection, { request, response }).catch((error: unknown) => {
        throw challenged(error, response)
      })
    responses.set(request, response)
    return (await run(protection, read(request), request, response, pass)) ?? false
  }
}

Injectable()(AccessTokenGuard)
Inject(SETTINGS)(AccessTokenGuard, undefined, 0)

/**
 * Sets the header fields of the first refusal of a GraphQL request, for servers that do not read `extensions.http`. One
 * is enough: a query can have a thousand refused fields.
 */
function challenged(error: unknown, response: NestResponse | undefined): unknown {
  if (!(error instanceof ResourceServerError) || response === undefined || isSent(response)) return error
  if (!response.hasHeader('WWW-Authenticate')) addHeaders(error.headers, ...headersOf(response))
  return error
}

/** First steps of requests that several handlers share. */
const authentications = new WeakMap<NestRequest, Promise<Access | undefined>>()

/**
 * Verifies a token once, for all resolvers of a request and all messages of a connection: a DPoP proof is valid for one
 * request. Checks the requirements, time and revocation each time.
 *
 * @throws {ResourceServerError}
 */
export async function decideShared(
  { anyToken }: Settings,
  protection: Protection<Access | undefined>,
  { request, response }: NestExchange
): Promise<boolean> {
  const asked = read(request)
  let first = authentications.get(request)
  if (first === undefined) {
    first = Promise.resolve().then(() => anyToken.authorize(asked, findAccess(request.auth)))
    authentications.set(request, first)
    // An outage ends, and then the next message of the same connection is decided.
    first.catch(() => authentications.delete(request))
  }
  const known = await first.catch((error: unknown) => {
    // The requirements say what a request without a token gets.
    if (error instanceof CredentialsMissing) return undefined
    throw error
  })
  const access = await protection.authorize(asked, known)
  save(request, access)
  if (response !== undefined && !isSent(response))
    addHeaders({ ...protection.headers, ...access?.responseHeaders }, ...headersOf(response))
  return true
}

/**
 * Answers refusals with their own status, challenge and body, which Nest's own filter would make a 500. In GraphQL they
 * become an error with the same status and challenge; in gateways a message `exception` to the client.
 */
export class RefusalFilter implements ExceptionFilter<ResourceServerError | RefusalException> {
  readonly #settings: Settings

  constructor(settings: Settings) {
    this.#settings = settings
  }

  catch(thrown: ResourceServerError | RefusalException, host: ArgumentsHost): unknown {
    const error = thrown instanceof RefusalException ? thrown.refusal : thrown
    const type = host.getType<string>()
    if (type === 'graphql') return graphqlError(error)
    if (type === 'ws') return tellClient(error, host.switchToWs().getClient())
    const { request, response } = exchangeOf(host)
    return response && answer(error, request, response, this.#settings.render)
  }
}

Catch(ResourceServerError, RefusalException)(RefusalFilter)
Inject(SETTINGS)(RefusalFilter, undefined, 0)
