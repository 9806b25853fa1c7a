import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { WsAdapter } from '@nestjs/platform-ws'
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets'
import { type Access, resourceServer, scope } from 'oauth-resource-server'
import { Auth, Protect, protectSockets, ResourceServerModule } from 'oauth-resource-server/nestjs'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

@WebSocketGateway({ path: '/sockets' })
class OrdersGateway {
  @SubscribeMessage('orders')
  @Protect(scope('orders:read'))
  orders(@Auth() access: Access): object {
    return { event: 'orders', data: `orders of ${access.subject}` }
  }
}

@Module({ imports: [ResourceServerModule.forRoot({ api })], providers: [OrdersGateway] })
class AppModule {}

async function bootstrap(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] })
  app.useWebSocketAdapter(protectSockets(app, new WsAdapter(app))) // or new IoAdapter(app), for socket.io
  await app.listen(Number(PORT))
  console.log(`NestJS: ws://localhost:${PORT}/sockets`)
}

void bootstrap()
