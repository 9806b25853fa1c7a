/** The checks for a call of a tool. Does NOT parse MCP except for tool names. */
import { type Access, type Check, Forbidden, type ResourceRequest, scope } from '../../src/index.js'

/**
 * The scopes of each tool, including those of the endpoint: a client requests exactly the scopes of a challenge and
 * drops its earlier ones. A tool that is not listed is refused (403, no challenge), so that none is open by oversight.
 *
 * @param tools by name: all scopes that a call needs; `[]` if the endpoint's scopes are enough
 * @returns a function from one JSON-RPC message, or several, to the checks for `enforce()`. Messages that call no tool
 * need no check. A POST without a parsed body (an object or array) is refused: the SDK's transport would parse it
 * itself, after the checks
 */
export function toolScopes<const Scope extends string>(
  tools: Readonly<Record<string, readonly Scope[]>>
): (message: unknown) => readonly Check<Scope>[] {
  const known = new Map(Object.entries(tools))
  return (message) => {
    const messages = [message].flat()
    if (!messages.every(isMessage)) return [refuseUnread]
    const called = messages.map(calledTool).filter((name) => name !== undefined)
    if (called.length === 0) return []
    if (called.some((name) => !known.has(name))) return [refuse]
    const needed = [...new Set(called.flatMap((name) => known.get(name) ?? []))]
    return needed.length > 0 ? [scope(...needed)] : []
  }
}

function refuse(): never {
  throw new Forbidden('a tool was called for which no scopes are listed')
}

interface Message {
  readonly method?: unknown
  readonly params?: { readonly name?: unknown }
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null
}

/** Refuses a body that was not parsed: the SDK's transport would parse it after the checks, perhaps differently. */
function refuseUnread(_access: Access, { method }: ResourceRequest): void {
  if (method === 'POST')
    throw new Forbidden('The message was not read as JSON', { expected: 'a body that was parsed before enforce()' })
}

function calledTool({ method, params }: Message): string | undefined {
  if (method !== 'tools/call') return undefined
  return typeof params?.name === 'string' ? params.name : ''
}
