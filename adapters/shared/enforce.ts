/** Applies further checks inside a handler, in frameworks whose handlers throw refusals. */
import type { Access, Check, ResourceRequest, ResourceServer } from '../../src/index.js'

/** How a framework's handler reads its request, and throws a refusal. `Exchange` is the handler's request or context. */
export interface Handling<Exchange> {
  /** @throws {Error} `protect` did not run, or accepted the request without a token */
  readonly getAuth: (exchange: Exchange) => Access
  readonly read: (exchange: Exchange) => ResourceRequest
  /** Sets the header fields of a refusal, and returns the error to throw. */
  readonly toThrow: (error: unknown, exchange: Exchange) => object
}

/** Called by every adapter's `enforce`. */
export async function enforceIn<Exchange, Scope extends string, Role extends string>(
  { getAuth, read, toThrow }: Handling<Exchange>,
  exchange: Exchange,
  api: ResourceServer<Scope, Role>,
  checks: readonly Check<NoInfer<Scope>, NoInfer<Role>>[]
): Promise<void> {
  try {
    await api.enforce(getAuth(exchange), read(exchange), ...checks)
  } catch (error) {
    throw toThrow(error, exchange)
  }
}
