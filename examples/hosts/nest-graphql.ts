import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql'
import { type Access, resourceServer, scope } from 'oauth-resource-server'
import { Auth, Protect, ResourceServerModule } from 'oauth-resource-server/nestjs'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

@Resolver()
class OrdersResolver {
  @Query(() => String)
  me(@Auth() access: Access): string {
    return access.subject ?? ''
  }

  @Query(() => String)
  @Protect(scope('orders:read'))
  orders(@Auth() access: Access): string {
    return `orders of ${access.subject}`
  }
}

@Module({
  imports: [
    ResourceServerModule.forRoot({ api }),
    GraphQLModule.forRoot<ApolloDriverConfig>({
      driver: ApolloDriver,
      autoSchemaFile: true,
      preserveHttpStatusForExecutionErrors: false // refusals keep 401 and 403; by default this module answers 200
    })
  ],
  providers: [OrdersResolver]
})
class AppModule {}

async function bootstrap(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] })
  await app.listen(Number(PORT))
  console.log(`NestJS: http://localhost:${PORT}/graphql`)
}

void bootstrap()
