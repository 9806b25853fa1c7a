/** Decides requests of `node:http` without a framework, and answers refusals and errors of handlers itself. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Access, Requirement, ResourceServer, ResourceServerError } from '../../src/index.js'
import type { Render } from '../shared/error-body.js'
import { addHeaders, headersOf, isEmpty } from '../shared/headers.js'
import { NodeRequest } from '../shared/node-request.js'
import { answerWith, asRefusal } from '../shared/refusals.js'
import { closeWhenAnswered, cutOff, hasMore } from '../shared/streams.js'

/** An accepted request; `access` is undefined where `optional` or `skipPreflight` accepted it without a token. */
export interface Granted {
  readonly access: Access | undefined
}

/** Decides one request, and answers refused ones. Resolves with undefined if it has answered. */
export type Guard = (request: IncomingMessage, response: ServerResponse) => Promise<Granted | undefined>

/** @param render creates the body of a refusal */
export function createGuard<Scope extends string, Role extends string>(
  api: ResourceServer<Scope, Role>,
  requirements: readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[],
  render: Render
): Guard {
  const protection = api.protect(...requirements)
  return async (request, response) => {
    const headers = headersOf(response)
    if (!isEmpty(protection.headers)) addHeaders(protection.headers, ...headers)
    try {
      const access = await protection.authorize(new NodeRequest(request))
      // Other code has answered meanwhile.
      if (response.headersSent) return undefined
      if (access) addHeaders(access.responseHeaders, ...headers)
      return { access }
    } catch (error) {
      const refusal = asRefusal(error)
      // If other code has answered meanwhile, its response may still be in progress.
      if (!response.headersSent) answer(request, response, refusal, render)
      return undefined
    }
  }
}

/** Answers an error of a handler. A response that has begun is cut off. */
export function answerOrCutOff(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  render: Render
): void {
  const refusal = asRefusal(error)
  if (!response.headersSent) answer(request, response, refusal, render)
  else cutOff(response)
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: ResourceServerError,
  render: Render
): void {
  if (hasMore(request)) response.setHeader('Connection', 'close')
  closeWhenAnswered(request)
  answerWith(refusal, request, response, render)
}
