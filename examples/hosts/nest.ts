import 'reflect-metadata'
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type ArgumentsHost,
  type CanActivate,
  Catch,
  Controller,
  type CustomDecorator,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  type INestApplication,
  Inject,
  Injectable,
  Module,
  Req,
  SetMetadata
} from '@nestjs/common'
import { type AbstractHttpAdapter, APP_FILTER, APP_GUARD, NestFactory, Reflector } from '@nestjs/core'
import {
  type Access,
  type Protection,
  type Requirement,
  ResourceServerError,
  resourceServer,
  scope
} from 'oauth-resource-server'
import { NodeRequest, protectedResourceMetadata } from 'oauth-resource-server/node'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

// #region nest
const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const anyToken = api.protect()
const RULE = Symbol('rule')

/** The requirements of a handler or a controller: `@Protect(scope('orders:read'))`. */
const Protect = (...requirements: Requirement[]): CustomDecorator<symbol> =>
  SetMetadata(RULE, api.protect(...requirements))
/** Needs no token. A handler with neither decorator needs a valid one. */
const Public = (): CustomDecorator<symbol> => SetMetadata(RULE, 'public')

@Injectable()
class AccessTokenGuard implements CanActivate {
  constructor(@Inject(Reflector) private readonly reflector: Reflector) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const places = [context.getHandler(), context.getClass()]
    const rule = this.reflector.getAllAndOverride<Protection | 'public' | undefined>(RULE, places) ?? anyToken
    if (rule === 'public') return true
    const http = context.switchToHttp()
    const request = http.getRequest() // of Express, or of Fastify with the one of Node.js in `raw`
    request.auth = await rule.authorize(new NodeRequest(request.raw ?? request, request.originalUrl))
    setHeaders(http.getResponse(), { ...rule.headers, ...request.auth?.responseHeaders })
    return true
  }
}

/** Sends the refusal's own status, challenge and body. Nest's own filter would answer 500. */
@Catch(ResourceServerError)
class RefusalFilter implements ExceptionFilter {
  catch(error: ResourceServerError, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse()
    setHeaders(response, error.headers)
    response.status(error.status).send(error.toJSON() ?? '')
  }
}

interface HeaderFields {
  getHeader(name: string): unknown
  header(name: string, value: unknown): unknown
}

/** Adds to lists that are already set: CORS middleware sets the same ones. */
function setHeaders(response: HeaderFields, headers: object): void {
  for (const [name, value] of Object.entries(headers)) {
    const isList = /^(vary|access-control-expose-headers)$/i.test(name)
    const before = isList ? (response.getHeader(name) ?? []) : []
    response.header(name, isList ? [before, value].flat().join(', ') : value)
  }
}

@Controller()
class Orders {
  @Get('orders')
  @Protect(scope('orders:read'))
  list(@Req() { auth }: { auth: Access }): object {
    return { orders: [], subject: auth.subject }
  }

  @Get('me')
  me(@Req() { auth }: { auth: Access }): object {
    return { subject: auth.subject }
  }

  @Get('health')
  @Public()
  health(): object {
    return { status: api.health().status }
  }
}

@Module({
  controllers: [Orders],
  providers: [
    { provide: APP_GUARD, useClass: AccessTokenGuard },
    { provide: APP_FILTER, useClass: RefusalFilter }
  ]
})
class App {}

/** Mounted before the router, so that no global prefix and no guard applies. */
function serveMetadata(app: INestApplication): void {
  const metadata = protectedResourceMetadata(api)
  app.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
    if (!metadata(request, response)) next()
  })
}
// #endregion

async function start(): Promise<void> {
  const app = await NestFactory.create(App, await platform(), { logger: ['error', 'warn'] })
  serveMetadata(app)
  app.enableShutdownHooks()
  await app.listen(Number(PORT))
  console.log(`NestJS: http://localhost:${PORT}/orders`)
}

async function platform(): Promise<AbstractHttpAdapter> {
  if (process.env['PLATFORM'] === 'fastify') return new (await import('@nestjs/platform-fastify')).FastifyAdapter()
  return new (await import('@nestjs/platform-express')).ExpressAdapter()
}

await start()
