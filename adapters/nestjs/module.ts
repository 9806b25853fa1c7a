/** The module: provides the API, the global guard and filter, serves the metadata, and checks all decorators at boot. */

import type { ServerResponse } from 'node:http'
import {
  type DynamicModule,
  Inject,
  Module,
  type ModuleMetadata,
  type NestModule,
  type OnModuleInit,
  type Provider
} from '@nestjs/common'
import {
  APP_FILTER,
  APP_GUARD,
  DiscoveryModule,
  DiscoveryService,
  HttpAdapterHost,
  MetadataScanner
} from '@nestjs/core'
import type { ResourceServer } from '../../src/index.js'
import { answeredWithMetadata, writeMetadata } from '../shared/metadata.js'
import { type NestRequest, read } from './exchange.js'
import { AccessTokenGuard, RefusalFilter } from './guard.js'
import { isDeclared, isReplaced } from './rules.js'
import {
  type ResourceServerModuleAsyncOptions,
  type ResourceServerModuleOptions,
  readOptions,
  SETTINGS,
  type Settings
} from './settings.js'

/** Injection token of the API: `@Inject(RESOURCE_SERVER) private readonly api: ResourceServer`. */
export const RESOURCE_SERVER: unique symbol = Symbol('oauth-resource-server')

/** A class, or a provider without one. */
interface Wrapper {
  readonly metatype?: unknown
}

/**
 * Import it once, in the root module. It is global: every module can use its decorators and inject
 * {@link RESOURCE_SERVER}. Serves the RFC 9728 metadata at its well-known path, whatever the app's global prefix is.
 */
export class ResourceServerModule implements NestModule, OnModuleInit {
  readonly #settings: Settings
  readonly #host: HttpAdapterHost
  readonly #discovery: DiscoveryService
  readonly #scanner: MetadataScanner

  constructor(settings: Settings, host: HttpAdapterHost, discovery: DiscoveryService, scanner: MetadataScanner) {
    this.#settings = settings
    this.#host = host
    this.#discovery = discovery
    this.#scanner = scanner
  }

  /** @throws {TypeError} at once, for invalid options */
  static forRoot(options: ResourceServerModuleOptions): DynamicModule {
    return dynamicModule({ provide: OPTIONS, useValue: checked(options) }, [])
  }

  /** Options from a factory, such as one that reads Nest's ConfigService. Invalid options stop the start. */
  static forRootAsync({ imports = [], inject = [], useFactory }: ResourceServerModuleAsyncOptions): DynamicModule {
    const create = async (...given: unknown[]): Promise<ResourceServerModuleOptions> =>
      checked(await useFactory(...given))
    return dynamicModule({ provide: OPTIONS, inject, useFactory: create }, imports)
  }

  /** Called by Nest before it registers routes, so no route can take the place of the metadata. */
  configure(): void {
    const apis = [this.#settings.api]
    this.#host.httpAdapter?.use((request: NestRequest, response: ServerResponse, next: () => void) => {
      if (!answeredWithMetadata(apis, read(request), response, writeMetadata)) next()
    })
  }

  /**
   * Compiles the requirements of all handlers: a mistake stops the start, and the metadata knows all scopes. So do
   * requirements that another decorator took away with the method, which would leave the handler open.
   *
   * @throws {TypeError} naming the class and the method
   */
  onModuleInit(): void {
    const wrappers: readonly Wrapper[] = [...this.#discovery.getControllers(), ...this.#discovery.getProviders()]
    for (const { metatype } of wrappers) if (typeof metatype === 'function') this.#compile(metatype)
  }

  #compile(controller: { readonly name: string; readonly prototype?: unknown }): void {
    const prototype = controller.prototype as Readonly<Record<string, object>> | undefined
    if (prototype === undefined) return
    for (const name of this.#scanner.getAllMethodNames(prototype)) {
      const handler = prototype[name]
      if (handler === undefined) continue
      try {
        if (isReplaced(prototype, name)) throw new TypeError(REPLACED)
        if (isDeclared(handler) || isDeclared(controller)) this.#settings.protectionOf(controller, handler)
      } catch (error) {
        throw new TypeError(`oauth-resource-server: ${controller.name}.${name}: ${(error as Error).message}`, {
          cause: error
        })
      }
    }
  }
}

const REPLACED =
  'a decorator replaced the method, which took the requirements with it: write Protect(), Roles() and Public() above that decorator'

const OPTIONS = Symbol('oauth-resource-server.options')

/** @throws {TypeError} invalid options, before anything injects them */
function checked(options: ResourceServerModuleOptions): ResourceServerModuleOptions {
  readOptions(options)
  return options
}

type Imports = NonNullable<ModuleMetadata['imports']>

/** The settings take the API by its token, so that a test can put another in its place. */
function dynamicModule(options: Provider<ResourceServerModuleOptions>, imports: Imports): DynamicModule {
  return {
    module: ResourceServerModule,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [
      options,
      {
        provide: RESOURCE_SERVER,
        inject: [OPTIONS],
        useFactory: ({ api }: ResourceServerModuleOptions) => api
      },
      {
        provide: SETTINGS,
        inject: [OPTIONS, RESOURCE_SERVER],
        useFactory: (given: ResourceServerModuleOptions, api: ResourceServer<never>) => readOptions({ ...given, api })
      },
      AccessTokenGuard,
      RefusalFilter,
      { provide: APP_GUARD, useExisting: AccessTokenGuard },
      { provide: APP_FILTER, useExisting: RefusalFilter }
    ],
    exports: [SETTINGS, RESOURCE_SERVER, AccessTokenGuard, RefusalFilter]
  }
}

Module({})(ResourceServerModule)
for (const [index, token] of [SETTINGS, HttpAdapterHost, DiscoveryService, MetadataScanner].entries())
  Inject(token)(ResourceServerModule, undefined, index)
