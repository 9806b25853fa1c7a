/** The line that an option error shows for a name from elsewhere: it exists for every name, it runs, and it shows no value. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { compileFunction } from 'node:vm'
import { fastify } from 'fastify'
import ts from 'typescript58'
import { Agent } from 'undici'
import { describe, expect, test } from 'vitest'
import * as express from '../../../adapters/express.js'
import resourceServerPlugin from '../../../adapters/fastify.js'
import { logTo } from '../../../integrations/log.js'
import { securitySchemes } from '../../../integrations/openapi.js'
import { instrument } from '../../../integrations/otel.js'
import { redisLog, redisStore } from '../../../integrations/redis.js'
import { COUNTERPARTS, FORMER, PLACES } from '../../../src/base/options/option-names.js'
import { codeOf, counterpartOf } from '../../../src/base/options/suggestions.js'
import * as core from '../../../src/index.js'
import { auth0 } from '../../../src/profiles/index.js'
import { createTestIssuer } from '../../../test-kit/issuer.js'
import { ISSUER, issuerKey, RESOURCE } from '../../support/refusals.js'

const ROOT = join(import.meta.dirname, '../../..')

/** The message of the error that a function throws. */
function messageOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return (error as TypeError).message
  }
  throw new Error('nothing was thrown')
}

const start = (options: object): core.ResourceServer =>
  core.resourceServer({ resource: RESOURCE, issuers: [ISSUER], ...options } as never)

/** The one line about these options, without its dash. */
function lineOf(options: object): string {
  const [, line, ...others] = messageOf(() => start(options)).split('\n')
  expect(others).toEqual([])
  return String(line).slice(2)
}

const redis = {
  status: 'ready',
  get: async () => null,
  set: async () => 'OK',
  setex: async () => 'OK',
  del: async () => 0,
  multi: () => ({}),
  publish: async () => 0,
  subscribe: async () => {},
  unsubscribe: async () => {},
  on: () => {},
  off: () => {},
  call: async () => null,
  eval: async () => 1,
  evalsha: async () => 1
}

/** What the code in a line may name: this package, undici, and values that a reader has. */
const SCOPE: Readonly<Record<string, unknown>> = {
  ...core,
  ...express,
  logTo,
  redisStore,
  redisLog,
  Agent,
  createPrivateKey,
  ca: '',
  pem: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
  publicJwk: issuerKey.publicJwk,
  clientSecret: 'a secret of this test',
  apiKey: 'a key of this test',
  tokenId: 'the identifier of a token',
  sharedSecret: 'a secret of this test with 32 characters',
  client: redis,
  publisher: redis,
  subscriber: redis,
  api: start({}),
  req: { auth: undefined },
  app: { use: () => {} },
  logger: console
}

const run = (code: string): unknown =>
  (compileFunction(code, Object.keys(SCOPE)) as (...values: unknown[]) => unknown)(...Object.values(SCOPE))

const paste = (code: string): core.ResourceServer => start(run(`return { ${code} }`) as object)

/** The names that an object may have, as the package itself lists them. */
function namesOf(options: object): readonly string[] {
  const [, list = ''] =
    /`[^`]*qqqqqqqqqqqq` is not an option: the options are (.*)/.exec(messageOf(() => start(options))) ?? []
  return list.split(', ')
}

const unknown = { qqqqqqqqqqqq: 1 }
const auth = (): void => {}
const KNOWN: Readonly<Record<string, object>> = {
  '': unknown,
  'issuers[]': { issuers: [{ issuer: ISSUER, ...unknown }] },
  'issuers[].introspection': { issuers: [{ issuer: ISSUER, introspection: { auth, ...unknown } }] },
  'issuers[].statusList': { issuers: [{ issuer: ISSUER, statusList: unknown }] },
  'issuers[].jwksAuth': {
    issuers: [{ issuer: ISSUER, jwksUri: `${ISSUER}/jwks`, jwksAuth: { tokenFile: 'x', ...unknown } }]
  },
  http: { http: unknown },
  dpop: { dpop: unknown },
  clientCertificate: { clientCertificate: { trustedProxies: ['::1'], ...unknown } },
  'decryptionKeys[]': { decryptionKeys: [unknown] },
  revocation: { revocation: unknown },
  shared: { shared: { store: redisStore(redis as never), secret: SCOPE['sharedSecret'], ...unknown } }
}

describe('the table of places', () => {
  test('has every place of options', () => {
    expect(Object.keys(PLACES).toSorted()).toEqual(Object.keys(KNOWN).toSorted())
  })

  test.each(Object.entries(KNOWN))(
    'has an example of every option in %j, and resourceServer() accepts each',
    (path, options) => {
      const place = PLACES[path]
      const names = namesOf(options)
      expect(names.length).toBeGreaterThan(0)
      for (const name of names) {
        expect(place?.options, name).toHaveProperty(name)
        const code = codeOf(place as never, name)
        expect(code).toContain(`${name}: `)
        expect(paste(code), code).toBeDefined()
      }
    }
  )
})

describe('the table of counterparts', () => {
  test.each(Object.entries(COUNTERPARTS))(
    '%s shows code that runs, or why there is none',
    (_name, { write, call, why }) => {
      expect([write, call, why].some((one) => one !== undefined)).toBe(true)
      expect(write === undefined || call === undefined).toBe(true)
      if (write !== undefined) expect(paste(write)).toBeDefined()
      if (call?.startsWith('getAuth')) expect(() => run(call)).toThrow('getAuth(): there is no access')
      else if (call !== undefined) run(`return ${call}`)
      for (const text of [write, call, why]) expect(text ?? '').not.toMatch(/[\n…]|;$/)
    }
  )

  test('a former name is not among the options of its place', () => {
    for (const path of Object.keys(FORMER)) {
      const [, place = '', name = ''] = /^(?:(.*)\.)?(\w+)$/.exec(path) ?? []
      expect(namesOf(KNOWN[place] as object)).not.toContain(name)
    }
  })
})

/** The option types of other packages, and the names that are not options of a verifier. */
const DECLARED = `
import type { AuthOptions } from 'express-oauth2-jwt-bearer'
import type { Params } from 'express-jwt'
import type JwksRsa from 'jwks-rsa'
import type koaJwt from 'koa-jwt'
import type { FastifyJWTOptions } from '@fastify/jwt'
import type buildGetJwks from 'get-jwks'
import type { BearerAuthMiddlewareOptions } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import type { AuthMetadataOptions } from '@modelcontextprotocol/sdk/server/auth/router.js'
import type { VerifyOptions } from 'jsonwebtoken'
export interface Declared {
  'express-oauth2-jwt-bearer': AuthOptions
  'express-oauth2-jwt-bearer, in dpop': NonNullable<AuthOptions['dpop']>
  'express-jwt': Params
  'jwks-rsa': JwksRsa.ExpressJwtOptions
  'jsonwebtoken': VerifyOptions
  'koa-jwt': koaJwt.Options
  '@fastify/jwt': FastifyJWTOptions
  '@fastify/jwt, in verify': NonNullable<FastifyJWTOptions['verify']>
  'get-jwks': buildGetJwks.GetJwksOptions
  'MCP requireBearerAuth': BearerAuthMiddlewareOptions
  'MCP mcpAuthMetadataRouter': AuthMetadataOptions
}`

/** The option names of each package, from its own type declarations. */
function declaredNames(): ReadonlyMap<string, readonly string[]> {
  const file = join(ROOT, 'test/base/declared.ts')
  const options: ts.CompilerOptions = {
    strict: true,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    noEmit: true,
    types: []
  }
  const host = ts.createCompilerHost(options)
  const fileExists = host.fileExists.bind(host)
  const getSourceFile = host.getSourceFile.bind(host)
  host.fileExists = (name) => name === file || fileExists(name)
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, DECLARED, ts.ScriptTarget.ESNext, true) : getSourceFile(name, ...rest)
  const program = ts.createProgram([file], options, host)
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(file) as ts.SourceFile
  expect(program.getSemanticDiagnostics(source).map(({ messageText }) => messageText)).toEqual([])
  const declared = source.statements.find(ts.isInterfaceDeclaration) as ts.InterfaceDeclaration
  return new Map(
    declared.members.map((member) => {
      const type = checker.getTypeAtLocation(member)
      const names = (type.isUnion() ? type.types : [type]).flatMap((one) => checker.getPropertiesOfType(one))
      return [(member.name as ts.StringLiteral).text, [...new Set(names.map(({ name }) => name))]] as const
    })
  )
}

/** passport-jwt has no declarations: the options that its strategy reads. */
function passportNames(): readonly string[] {
  const strategy = createRequire(import.meta.url).resolve('passport-jwt/lib/strategy.js')
  return [...new Set([...readFileSync(strategy, 'utf8').matchAll(/\boptions\.(\w+)/g)].map(([, name]) => String(name)))]
}

describe('every option of the packages in docs/migration.md', () => {
  const packages = new Map([...declaredNames(), ['passport-jwt', passportNames()]])

  test('is found in their own declarations', () => {
    for (const heading of readFileSync(join(ROOT, 'docs/migration.md'), 'utf8').matchAll(
      /^## (?!What is different)(.*)$/gm
    )) {
      const named = String(heading[1]).split(/ and |’s |'s /)
      const known = [...packages.keys()].join(' ')
      for (const one of named) expect(known, `${heading[1]}`).toContain(one.replace(/^The /, '').replace(' SDK', ''))
    }
    expect(packages.get('express-oauth2-jwt-bearer')).toContain('issuerBaseURL')
    expect(packages.get('express-jwt')).toContain('credentialsRequired')
    expect(packages.get('@fastify/jwt, in verify')).toContain('allowedIss')
    expect(packages.get('passport-jwt')).toContain('secretOrKeyProvider')
  })

  test.each([...packages])('%s: each shows where it goes here, or is an option here', (name, options) => {
    expect(options.length).toBeGreaterThan(3)
    const inside = name.endsWith('in dpop')
      ? (option: string) => ({ dpop: { [option]: 1 } })
      : (option: string) => ({ [option]: 1 })
    const silent = options.filter((option) => {
      let message = ''
      try {
        start(inside(option))
      } catch (error) {
        message = (error as Error).message
      }
      return message.includes('the options are') || message.includes('did you mean')
    })
    expect(silent).toEqual([])
  })
})

describe('an option error', () => {
  test.each<readonly [string, object]>([
    [
      "`audience` is not an option here: write issuers: [{ issuer: 'https://as.example.com', audience: 'orders' }] (the default is `resource`)",
      { audience: 'x' }
    ],
    ["`issuer` is an option of an issuer: write issuers: [{ issuer: 'https://as.example.com' }]", { issuer: ISSUER }],
    [
      "`algorithms` is an option of an issuer: write issuers: [{ issuer: 'https://as.example.com', algorithms: ['RS256'] }]",
      { algorithms: ['RS256'] }
    ],
    [
      '`issuers[0].clockTolerance` is an option of resourceServer(): write clockTolerance: 30',
      { issuers: [{ issuer: ISSUER, clockTolerance: 5 }] }
    ],
    ['`deadline` is an option of `http`: write http: { deadline: 5 }', { deadline: 5 }],
    ["`http.nonces` is an option of `dpop`: write dpop: { nonces: 'required' }", { http: { nonces: 'required' } }],
    ['`http.timeOut` is not an option: did you mean `timeout`?', { http: { timeOut: 3 } }],
    ['`clockTolerence` is not an option: did you mean `clockTolerance`?', { clockTolerence: 5 }],
    ['`scope` is not an option: did you mean `scopes`?', { scope: ['read'] }],
    ['`issuers[0].jwksUrl` is not an option: did you mean `jwksUri`?', { issuers: [{ issuer: ISSUER, jwksUrl: 'x' }] }],
    [
      '`issuers[0].jwks_uri` is not an option: did you mean `jwksUri`?',
      { issuers: [{ issuer: ISSUER, jwks_uri: 'x' }] }
    ],
    [
      '`authRequired` is not an option here: write protect(api, optional) (on routes that accept requests without a token)',
      { authRequired: false }
    ],
    [
      "`requiredScopes` is not an option here: write protect(api, scope('orders:read')) (on each route)",
      { requiredScopes: ['a'] }
    ],
    ['`logger` is not an option here: write logTo(logger) (from oauth-resource-server/log)', { logger: console }],
    [
      "`resource` is \"orders\": it must be this API’s identifier, such as https://api.example.com. If `aud` of tokens is this text, write resource: 'https://api.example.com', issuers: [{ issuer: 'https://as.example.com', audience: 'orders' }]",
      { resource: 'orders' }
    ],
    [
      "`scopes` is \"read\": it must be an array of strings, such as scopes: ['orders:read', 'orders:write']",
      { scopes: 'read' }
    ],
    ['`http` is 5: it must be an object, such as http: { timeout: 3 }', { http: 5 }]
  ])('says: %s', (line, options) => {
    expect(lineOf(options)).toBe(line)
  })

  test('compares only names of a usual length', () => {
    const name = `clockTolerance${'x'.repeat(100_000)}`
    expect(lineOf({ [name]: 1 })).toContain('the options are')
  })

  test('names that every object has get no line of the table', () => {
    for (const name of ['constructor', 'toString', '__proto__'])
      expect(lineOf(JSON.parse(`{"${name}": 1}`) as object)).toBe(
        `\`${name}\` is not an option: the options are ${namesOf(unknown).join(', ')}`
      )
  })

  test('of a profile shows the place of an option of the issuer and of the server', () => {
    const options = { domain: 'tenant.eu.auth0.com', audience: RESOURCE }
    const profile = (more: object): string => messageOf(() => auth0({ ...options, ...more }))
    expect(profile({ algorithms: ['RS256'] })).toContain(
      "`algorithms` is not an option of the profile: write issuers: [{ ...auth0({ … }), algorithms: ['RS256'] }]"
    )
    expect(profile({ clockTolerance: 5 })).toContain('write clockTolerance: 30 in the options of resourceServer()')
    expect(profile({ permission: true })).toContain('did you mean `permissions`?')
  })
})

describe('a requirement that is not one', () => {
  const api = start({ scopes: ['orders:read'] })
  test.each<readonly [unknown, string]>([
    ['orders:read', "a requirement is not a text or a list: write scope('orders:read')."],
    ['read write', "a requirement is not a text or a list: write scope('read', 'write')."],
    [['read', 'write'], "a requirement is not a text or a list: write scope('read', 'write')."],
    [[core.optional], 'a requirement is not a list: pass each one by itself'],
    [{ authRequired: false }, '`authRequired` is not an option here: write protect(api, optional)'],
    [{ requiredScopes: ['a'] }, "`requiredScopes` is not an option here: write protect(api, scope('orders:read'))"],
    [undefined, 'a requirement is undefined: a requirement is scope(…)'],
    [null, 'a requirement is null: ']
  ])('%j: %s', (requirement, line) => {
    expect(messageOf(() => api.protect(requirement as never))).toContain(line)
  })

  test('shows no text that cannot be a scope', () => {
    expect(messageOf(() => api.protect('Bearer "hunter2"' as never))).not.toContain('hunter2')
  })
})

describe('no message shows a secret', () => {
  const SECRET = 'hunter2hunter2'
  const introspection = { clientId: 'orders-api', auth }
  const issuer = (more: object): object => ({ issuers: [{ issuer: ISSUER, ...more }] })
  test.each<object>([
    { clientSecret: SECRET },
    { secret: SECRET },
    { secretOrKey: SECRET },
    { password: SECRET },
    issuer({ clientSecret: SECRET }),
    issuer({ introspection: SECRET }),
    issuer({ introspection: { ...introspection, clientSecret: SECRET } }),
    issuer({ introspection: { ...introspection, auth: SECRET } }),
    issuer({ jwksUri: `${ISSUER}/jwks`, jwksAuth: SECRET }),
    issuer({ jwksUri: `${ISSUER}/jwks`, jwksAuth: { authorization: SECRET } }),
    issuer({ issuer: `http://me:${SECRET}@as.example.com` }),
    issuer({ issuer: `https://me:${SECRET}@as.example.com` }),
    issuer({ jwksUri: `http://${SECRET}@as.example.com` }),
    { issuers: SECRET },
    { shared: SECRET },
    { shared: { store: redisStore(redis as never), secret: SECRET } },
    { shared: { store: redisStore(redis as never), secret: { value: SECRET } } },
    { dpop: { nonceSecret: SECRET } },
    { dpop: { secret: SECRET } },
    { http: { proxy: `socks://me:${SECRET}@proxy.internal` } },
    { http: { password: SECRET } },
    { decryptionKeys: SECRET },
    { decryptionKeys: [SECRET] },
    { decryptionKeys: [{ key: SECRET, kid: '1' }] },
    { resource: `http://me:${SECRET}@api.example.com` },
    { publicUrl: `http://me:${SECRET}@api.example.com` }
  ])('%j', (options) => {
    expect(messageOf(() => start(options))).not.toContain(SECRET)
  })
})

test('counterpartOf() finds a name in whatever case and with whatever separator', () => {
  expect(counterpartOf('required_scopes')).toBe(counterpartOf('requiredScopes'))
  expect(counterpartOf('orders')).toBeUndefined()
})

describe('a function with few options refuses', () => {
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const calls: readonly (readonly [string, () => unknown, string])[] = [
    [
      'logTo()',
      () => logTo(logger, { evidnce: true } as never),
      '`evidnce` is not an option: did you mean `evidence`?'
    ],
    [
      'logTo()',
      () => logTo(logger, { access: 'yes' } as never),
      "`access` is 'yes': it must be a boolean, such as access: true"
    ],
    ['instrument()', () => instrument({ metre: {} } as never), '`metre` is not an option: did you mean `meter`?'],
    ['securitySchemes()', () => securitySchemes(start({}), { tokenURI: 'x' } as never), 'did you mean `tokenUrl`?'],
    [
      'redisStore()',
      () => redisStore(redis as never, { keyPrefix: 'x' } as never),
      'the options are prefix, maxPerOwner'
    ],
    [
      'redisStore()',
      () => redisStore(redis as never, { maxPerOwner: '5' } as never),
      'it must be a number, such as maxPerOwner: 30000'
    ],
    ['redisLog()', () => redisLog(redis as never, { prefixes: 'x' } as never), 'did you mean `prefix`?'],
    ['memoryOnceStore()', () => core.memoryOnceStore({ maxEntrys: 5 } as never), 'did you mean `maxEntries`?'],
    ['memoryOnceStore()', () => core.memoryOnceStore({ now: 5 } as never), '`now` is 5: it must be a function'],
    ['memoryOnceStore()', () => core.memoryOnceStore(5 as never), '`options` is 5: it must be an object'],
    [
      'errorHandler()',
      () => express.errorHandler({ body: () => ({}), type: 'a/b' } as never),
      'the options are body, contentType'
    ],
    [
      'securityEventReceiver()',
      () => core.securityEventReceiver(start({}), { transmitters: [], onVerify: () => true } as never),
      '`onVerify` is not an option: the options are transmitters, revocations, onVerification'
    ],
    [
      'logoutTokenReceiver()',
      () => core.logoutTokenReceiver(start({}), { issuer: [] } as never),
      'did you mean `issuers`?'
    ]
  ]
  test.each(calls)('%s: %#', (caller, call, line) => {
    const message = messageOf(call)
    expect(message.startsWith(`${caller} found a problem in its options:\n- \``)).toBe(true)
    expect(message).toContain(line)
  })

  test('createTestIssuer(): a misspelt option, and an algorithm that it does not have', async () => {
    await expect(createTestIssuer({ algoritm: 'ES256' } as never)).rejects.toThrow('did you mean `algorithm`?')
    await expect(createTestIssuer({ algorithm: 'HS256' } as never)).rejects.toThrow(
      "algorithm is 'HS256': it must be one of"
    )
  })

  test('fastifyResourceServer(): a misspelt option, but none that Fastify reads', async () => {
    const app = (): ReturnType<typeof fastify> => fastify()
    await expect(app().register(resourceServerPlugin, { api: start({}), encapsuled: true } as never)).rejects.toThrow(
      'did you mean `encapsulated`?'
    )
    const good = app().register(resourceServerPlugin, { api: start({}), prefix: '/api', logLevel: 'warn' })
    await expect(good.ready()).resolves.toBeDefined()
  })
})
