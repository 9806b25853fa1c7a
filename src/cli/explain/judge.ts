/**
 * The resource server that judges a token for `explain`, taken from a module of the user (`--config`).
 *
 * Tests: `test/cli/explain.test.ts`.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isObject } from '../../base/json.js'
import { type ResourceServer, type ResourceServerOptions, resourceServer } from '../../index.js'
import { UsageError } from '../command.js'
import type { Terminal } from '../terminal.js'

export interface Judge {
  readonly api: Pick<ResourceServer, 'authorize' | 'close'>
  /** The trusted issuers, for people. */
  readonly issuer: string
  readonly resource: string
  /** Options that were missing and therefore taken from the token. */
  readonly assumed: readonly string[]
  readonly unusedKeys: readonly string[]
  /** With `--config`: the result of `api.describe()`. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/**
 * @param path of a module that exports a resource server or its options, under any name
 * @throws {UsageError} a module that cannot be loaded, or exports neither
 */
export async function judgeFromModule(path: string, { now, http }: Terminal): Promise<Judge> {
  const exports = await load(path)
  const found = Object.values(exports)
  const server = found.find(isServer)
  const options = found.find(isOptions)
  if (server === undefined && options === undefined)
    throw new UsageError(
      '--config: the module exports neither a resource server nor its options. Add to it: export const api = resourceServer({ … })'
    )
  const api = server ?? makeServer(options as ResourceServerOptions, { now, http })
  const settings = api.describe()
  const { issuers, resource } = settings
  const names = Array.isArray(issuers) ? issuers.map((one) => String(Object(one)['issuer'])) : [String(issuers)]
  return { api, issuer: names.join(', '), resource: String(resource), assumed: [], unusedKeys: [], settings }
}

async function load(path: string): Promise<Readonly<Record<string, unknown>>> {
  const url = pathToFileURL(resolve(path)).href
  try {
    return (await import(url)) as Readonly<Record<string, unknown>>
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException & { readonly url?: string }
    const isMissing = code === 'ERR_MODULE_NOT_FOUND' && (cause as { readonly url?: string }).url === url
    if (isMissing || code === 'ENOENT') throw new UsageError('--config: there is no such module.', { cause })
    if (code === 'ERR_UNSUPPORTED_DIR_IMPORT')
      throw new UsageError('--config: this is a directory, and a module is needed, such as ./api.mjs.', { cause })
    if (code === 'ERR_UNKNOWN_FILE_EXTENSION')
      throw new UsageError('--config: Node cannot load this kind of file. Name the compiled module: .js or .mjs.', {
        cause
      })
    throw new UsageError(`--config: the module failed while it was loaded: ${message}`, { cause })
  }
}

function isServer(value: unknown): value is ResourceServer {
  const { authorize, describe, close } = Object(value) as Partial<ResourceServer>
  return [authorize, describe, close].every((one) => typeof one === 'function')
}

function isOptions(value: unknown): value is ResourceServerOptions {
  return isObject(value) && value['resource'] !== undefined && value['issuers'] !== undefined
}

function makeServer(options: ResourceServerOptions, { now, http }: Pick<Terminal, 'now' | 'http'>): ResourceServer {
  try {
    return resourceServer({ now, ...(http && { http }), ...options, log: false })
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new UsageError(`--config: ${error.message}`, { cause: error })
  }
}
