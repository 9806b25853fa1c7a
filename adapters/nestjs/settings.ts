/** The options of the module, and the requirements of each handler, compiled once. */
import type { FactoryProvider, ModuleMetadata } from '@nestjs/common'
import { requireOptions } from '../../src/adapter.js'
import type { Access, Protection, Requirement, ResourceServer } from '../../src/index.js'
import { createRender, type ErrorBodyOptions, type Render } from '../shared/error-body.js'
import { ruleOf } from './rules.js'

/** Options of {@link ResourceServerModule.forRoot}. */
export interface ResourceServerModuleOptions {
  /** The API: `resourceServer({ … })`. Inject it with `@Inject(RESOURCE_SERVER)`. */
  readonly api: ResourceServer<never>
  /**
   * `'all'`: every handler and resolver needs a valid token, except with `Public()`. `'declared'`: only those with
   * `Protect()` or `Roles()`, on themselves or on their class. Default `'all'`, so that a forgotten decorator opens
   * nothing.
   */
  readonly protect?: 'all' | 'declared'
  /** Body of refusals in the shape of the API, such as {@link problemDetails}. Default: the JSON of OAuth. */
  readonly errors?: ErrorBodyOptions
}

/** Options of {@link ResourceServerModule.forRootAsync}, as of Nest's own modules. */
export interface ResourceServerModuleAsyncOptions
  extends Pick<ModuleMetadata, 'imports'>,
    Pick<FactoryProvider<ResourceServerModuleOptions>, 'useFactory' | 'inject'> {}

const EXAMPLES: Readonly<Record<keyof ResourceServerModuleOptions, unknown>> = {
  api: {},
  protect: 'all',
  errors: {}
}

/** Shared by the guard, the filter and the module. */
export interface Settings {
  readonly api: ResourceServer<never>
  readonly render: Render
  /** For a request whose handler is not known yet, and as the first step of requests that several handlers share. */
  readonly anyToken: Protection
  /**
   * The protection of a handler; null if it needs no token.
   *
   * @throws {TypeError} an invalid requirement, or a mix of decorators that contradict each other
   */
  readonly protectionOf: (controller: object, handler: object) => Protection<Access | undefined> | null
}

/** Injection token of the {@link Settings}. */
export const SETTINGS: unique symbol = Symbol('oauth-resource-server.settings')

/** @throws {TypeError} invalid options */
export function readOptions(options: ResourceServerModuleOptions): Settings {
  const { api, protect = 'all', errors } = options ?? {}
  if (typeof api?.protect !== 'function')
    throw new TypeError(
      'oauth-resource-server: ResourceServerModule needs the option `api`: ResourceServerModule.forRoot({ api: resourceServer({ … }) })'
    )
  // A misspelt 'all' must not mean 'declared'.
  if (!['all', 'declared'].includes(protect))
    throw new TypeError(`oauth-resource-server: the option \`protect\` is '${protect}', not 'all' or 'declared'`)
  requireOptions('ResourceServerModule', options, EXAMPLES)
  const known = new WeakMap<object, WeakMap<object, Protection<Access | undefined> | null>>()
  return {
    api,
    render: createRender(errors),
    anyToken: api.protect(),
    protectionOf: (controller, handler) => {
      const handlers = known.get(controller) ?? new WeakMap<object, Protection<Access | undefined> | null>()
      known.set(controller, handlers)
      let protection = handlers.get(handler)
      if (protection === undefined) {
        const rule = ruleOf(controller, handler)
        const requirements = rule === undefined && protect === 'all' ? [] : (rule ?? null)
        protection = requirements && api.protect(...(requirements as Requirement<never>[]))
        handlers.set(handler, protection)
      }
      return protection
    }
  }
}
