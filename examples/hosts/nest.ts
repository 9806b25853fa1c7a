import { Controller, Delete, Get, HttpCode, Inject, Module, Param } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { type Access, type ResourceServer, resourceServer, roles, scope } from 'oauth-resource-server'
import { Auth, Protect, Public, RESOURCE_SERVER, ResourceServerModule } from 'oauth-resource-server/nestjs'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({
  resource: RESOURCE, // the `aud` of your tokens
  issuers: [{ issuer: ISSUER, rolesClaim: 'roles' }]
})

@Controller()
class OrdersController {
  @Get('orders')
  @Protect(scope('orders:read'))
  list(@Auth() access: Access): object {
    return { orders: [], subject: access.subject }
  }

  @Delete('orders/:id')
  @HttpCode(204)
  @Protect(scope('orders:write'), roles('orders-admin'))
  remove(@Param('id') _id: string): void {}

  @Get('me') // no decorator: any valid token
  me(@Auth() access: Access): object {
    return { subject: access.subject, roles: access.roles }
  }
}

@Controller('health')
@Public()
class HealthController {
  constructor(@Inject(RESOURCE_SERVER) private readonly api: ResourceServer) {}

  @Get()
  health(): object {
    return { status: this.api.health().status }
  }
}

@Module({
  imports: [ResourceServerModule.forRoot({ api })],
  controllers: [OrdersController, HealthController]
})
class AppModule {}

async function bootstrap(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] })
  app.enableShutdownHooks()
  await app.listen(Number(PORT))
  console.log(`NestJS: http://localhost:${PORT}/orders`)
}

void bootstrap()
