import type { IncomingMessage } from 'node:http'
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { GraphQLModule, Query, Resolver, Subscription } from '@nestjs/graphql'
import { type Access, ResourceServerError, resourceServer, scope } from 'oauth-resource-server'
import { Auth, Protect, ResourceServerModule } from 'oauth-resource-server/nestjs'
import { NodeRequest } from 'oauth-resource-server/node'
import type { WebSocket } from 'ws'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const mayConnect = api.protect()

@Resolver()
class OrdersResolver {
  @Query(() => String)
  me(@Auth() access: Access): string {
    return access.subject ?? ''
  }

  @Subscription(() => String)
  @Protect(scope('orders:read'))
  async *orders(@Auth() access: Access): AsyncGenerator<object> {
    yield { orders: `orders of ${access.subject}` }
  }
}

/** The request of the handshake, with the token of `connectionParams` as one more line of `Authorization`. */
class Handshake extends NodeRequest {
  private readonly given: readonly string[]

  constructor(request: IncomingMessage, given: unknown) {
    super(request)
    this.given = typeof given === 'string' ? [given] : []
  }

  override fieldLines(name: string): readonly string[] {
    const lines = super.fieldLines(name)
    return name === 'authorization' ? [...lines, ...this.given] : lines
  }
}

interface Connection {
  readonly connectionParams?: Readonly<Record<string, unknown>>
  readonly extra: { readonly request: IncomingMessage & { auth?: Access }; readonly socket: WebSocket }
}

/** Once for each connection, before any operation. The guard finds the access in the request. */
async function onConnect({ connectionParams, extra: { request, socket } }: Connection): Promise<boolean> {
  try {
    request.auth = await mayConnect.authorize(new Handshake(request, connectionParams?.['authorization']))
  } catch (error) {
    if (!(error instanceof ResourceServerError)) throw error
    // 1013 means: try again later.
    socket.close(error.status === 503 ? 1013 : 4000 + error.status, error.message)
    return false
  }
  // The client connects again after 4403, and gives up after 4401.
  const end = (): void => socket.close(4403, 'the token ended')
  const { signal } = request.auth
  signal.addEventListener('abort', end, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', end))
  // One of the two may have ended during the check.
  if (signal.aborted) end()
  return socket.readyState === socket.OPEN
}

@Module({
  imports: [
    ResourceServerModule.forRoot({ api }),
    GraphQLModule.forRoot<ApolloDriverConfig>({
      driver: ApolloDriver,
      autoSchemaFile: true,
      // A request has `req` and `res`, a connection `extra`.
      context: ({ req, res, extra }: { req?: object; res?: object; extra?: Connection['extra'] }) => ({
        req: req ?? extra?.request,
        res
      }),
      subscriptions: { 'graphql-ws': { onConnect: (connection) => onConnect(connection as unknown as Connection) } }
    })
  ],
  providers: [OrdersResolver]
})
class AppModule {}

async function bootstrap(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] })
  await app.listen(Number(PORT))
  console.log(`NestJS: ws://localhost:${PORT}/graphql`)
}

void bootstrap()
