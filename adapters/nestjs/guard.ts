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
import { answer, graphqlError, tellClient } from './answers.js'
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
    throw isSent(response) ? passable(error) : surface(error, ...headersOf(response))
  }
})

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

  /** @throws {ResourceServerError} the refusal, for the filter */
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
      return decideShared(this.#settings, protection, { request, response })
    return (await run(protection, read(request), request, response, pass)) ?? false
  }
}

Injectable()(AccessTokenGuard)
Inject(SETTINGS)(AccessTokenGuard, undefined, 0)

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
export class RefusalFilter implements ExceptionFilter<ResourceServerError> {
  readonly #settings: Settings

  constructor(settings: Settings) {
    this.#settings = settings
  }

  catch(error: ResourceServerError, host: ArgumentsHost): unknown {
    const type = host.getType<string>()
    if (type === 'graphql') return graphqlError(error)
    if (type === 'ws') return tellClient(error, host.switchToWs().getClient())
    const { request, response } = exchangeOf(host)
    return response && answer(error, request, response, this.#settings.render)
  }
}

Catch(ResourceServerError)(RefusalFilter)
Inject(SETTINGS)(RefusalFilter, undefined, 0)
