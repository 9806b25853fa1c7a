/** Nest apps for tests, on both platforms and over real sockets. Decorators are called as functions: the tests have none. */
import 'reflect-metadata'
import { type DynamicModule, type INestApplication, Module, type Provider, type Type } from '@nestjs/common'
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { onTestFinished } from 'vitest'

export const PLATFORMS: readonly (readonly [string, () => AbstractHttpAdapter])[] = [
  ['platform-express', () => new ExpressAdapter()],
  ['platform-fastify', () => new FastifyAdapter() as unknown as AbstractHttpAdapter]
]

type Decorator = (target: never, name: never, at: never) => unknown

/** Decorates a method, and its parameters by position. */
export function method(
  target: Type,
  name: string,
  decorators: readonly Decorator[],
  parameters: readonly ParameterDecorator[] = []
): void {
  for (const [index, decorate] of parameters.entries()) decorate(target.prototype, name, index)
  const descriptor = Object.getOwnPropertyDescriptor(target.prototype, name)
  for (const decorate of decorators.toReversed())
    decorate(target.prototype as never, name as never, descriptor as never)
  // A decorator may have put another function in its place.
  if (descriptor !== undefined) Object.defineProperty(target.prototype, name, descriptor)
}

export interface Parts {
  readonly imports: readonly (DynamicModule | Promise<DynamicModule>)[]
  readonly controllers?: readonly Type[]
  readonly providers?: readonly Provider[]
}

/** An app that listens on a free port, closed when the test ends. @param prepare called before it listens */
export async function listen(
  platform: () => AbstractHttpAdapter,
  { imports, controllers = [], providers = [] }: Parts,
  prepare: (app: INestApplication) => unknown = () => undefined
): Promise<string> {
  const App = class {}
  Module({ imports: [...imports], controllers: [...controllers], providers: [...providers] })(App)
  const app = await NestFactory.create(App, platform(), {
    logger: false,
    abortOnError: false,
    forceCloseConnections: true
  })
  onTestFinished(() => app.close())
  await prepare(app)
  await app.listen(0, '127.0.0.1')
  return (await app.getUrl()).replace('[::1]', '127.0.0.1')
}
