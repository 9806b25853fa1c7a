/**
 * The package as it is published: packed, unpacked into an empty project, and used from there. Its dependencies are
 * linked from this repository, so that nothing is downloaded. Needs `npm run build`, as `npm test` does first.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Lines, send } from '../adapters/wire.js'
import { startIssuer } from '../support/issuer.js'

const run = promisify(execFile)
const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const NAME = 'oauth-resource-server'

/** What each subpath gives at run time. */
const EXPORTS: Readonly<Record<string, readonly string[]>> = {
  '': [
    'resourceServer',
    'scope',
    'anyScope',
    'roles',
    'anyRole',
    'claims',
    'authentication',
    'authorizationDetails',
    'fresh',
    'memoryOnceStore',
    'urlEncodedPem',
    'forwardedClientCert',
    'tlsClientAuth',
    'optional',
    'skipPreflight',
    'ResourceServerError',
    'Forbidden'
  ],
  '/express': ['protect', 'protectedResourceMetadata', 'getAuth', 'getOptionalAuth', 'enforce', 'errorHandler'],
  '/express/augment': [],
  '/koa': ['protect', 'protectedResourceMetadata', 'getAuth', 'getOptionalAuth', 'errorHandler'],
  '/fastify': ['default', 'fastifyResourceServer', 'protect', 'protectedResourceMetadata', 'getAuth', 'errorHandler'],
  '/fetch': ['protect', 'protectedResourceMetadata'],
  '/hono': ['protect', 'protectedResourceMetadata', 'getAuth', 'getOptionalAuth'],
  '/node': ['protect', 'protectUpgrade', 'protectedResourceMetadata', 'enforce', 'refuse', 'onExpiry'],
  '/nestjs': [
    'ResourceServerModule',
    'Protect',
    'Public',
    'Roles',
    'Auth',
    'OptionalAuth',
    'protectSockets',
    'enforce'
  ],
  '/log': ['logTo'],
  '/otel': ['instrument'],
  '/mcp': ['authInfo', 'toolScopes', 'tokenVerifier'],
  '/openapi': ['securityOf', 'requiredRolesOf', 'securitySchemes', 'documentSecurity'],
  '/redis': ['redisStore', 'redisLog'],
  '/env': ['fromEnv'],
  '/explain': ['explainChecks'],
  '/testing': ['createTestIssuer', 'fakeAccess'],
  '/conformance': [
    'PROFILES',
    'badge',
    'htmlReport',
    'jsonReport',
    'junitReport',
    'exitCodeOf',
    'failuresOf',
    'RunProblem',
    'runConformance'
  ],
  '/profiles': ['fapi2', 'mcp', 'auth0', 'entra', 'keycloak', 'cognito', 'okta', 'google', 'telnyx', 'duende']
}
const SUBPATHS = Object.keys(EXPORTS)
/** Decorators need Nest at run time; the other adapters import only types of their framework. */
const ALONE = SUBPATHS.filter((subpath) => subpath !== '/nestjs')
const DEPENDENCIES = ['jose', 'lru-cache', 'undici']

let scratch: string
/** A project with the package and its dependencies, and nothing else. */
let bare: string
/** The same, with Express and Fastify beside it, and what TypeScript needs. */
let app: string
let packed: readonly string[]
/** Bytes of the tarball. */
let size: number

beforeAll(async () => {
  if (!existsSync(join(root, 'dist/src/index.js'))) throw new Error('there is no dist/: run `npm run build` first')
  scratch = await mkdtemp(join(tmpdir(), 'consume-'))
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch], {
    cwd: root
  })
  const [tarball] = JSON.parse(stdout) as [{ filename: string; size: number; files: { path: string }[] }]
  size = tarball.size
  packed = tarball.files.map(({ path }) => path)
  bare = await createProject('bare', join(scratch, tarball.filename), DEPENDENCIES)
  app = await createProject('app', join(scratch, tarball.filename), [
    ...DEPENDENCIES,
    'express',
    'fastify',
    '@types/express',
    '@types/node'
  ])
}, 60_000)

afterAll(() => rm(scratch, { recursive: true, force: true }))

async function createProject(name: string, tarball: string, linked: readonly string[]): Promise<string> {
  const project = join(scratch, name)
  const modules = join(project, 'node_modules')
  await mkdir(join(modules, NAME), { recursive: true })
  await writeFile(join(project, 'package.json'), JSON.stringify({ name, private: true, version: '0.0.0' }))
  await run('tar', ['-xzf', tarball, '-C', join(modules, NAME), '--strip-components=1'])
  for (const one of linked) {
    await mkdir(dirname(join(modules, one)), { recursive: true })
    await symlink(join(root, 'node_modules', one), join(modules, one), 'dir')
  }
  return project
}

/** Runs a script in a project, and returns what it printed, as JSON. A warning counts as a failure. */
async function evaluate(project: string, name: string, source: string): Promise<unknown> {
  await writeFile(join(project, name), source)
  const { stdout, stderr } = await run(process.execPath, [name], { cwd: project, timeout: 20_000 })
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

test('the tarball has the files that package.json names, and neither sources nor source maps', async () => {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, string | Record<string, string | Record<string, string>>>
    dependencies: Record<string, string>
  }
  expect(
    packed.filter(
      (path) =>
        !/^dist\/.*\.(c?js|d\.c?ts)$|^skills\/.*\.md$|^(package\.json|README\.md|LICENSE|CHANGELOG\.md|llms\.txt|docs\/troubleshooting\.md)$/.test(
          path
        )
    )
  ).toEqual([])
  const targets = Object.values(manifest.exports).flatMap((target) =>
    Object.values(typeof target === 'string' ? [target] : target).flatMap((one) =>
      typeof one === 'string' ? [one] : Object.values(one)
    )
  )
  expect(targets.filter((target) => !packed.includes(target.replace('./', '')))).toEqual([])
  expect(Object.keys(manifest.exports).filter((path) => path !== './package.json')).toEqual(
    SUBPATHS.map((subpath) => `.${subpath}`)
  )
  expect(Object.keys(manifest.dependencies)).toEqual(DEPENDENCIES)
})

test('the tarball has less than 490 kB, and only declarations that an entry reaches, each of them', async () => {
  expect(size).toBeLessThan(490_000)
  const entries = Object.values(
    (JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { exports: Record<string, { types?: string }> })
      .exports
  ).flatMap(({ types }) => (types === undefined ? [] : [types.replace('./', '')]))
  const imported = await Promise.all(
    packed
      .filter((path) => path.endsWith('.d.ts'))
      .map(async (path) =>
        [...(await readFile(join(root, path), 'utf8')).matchAll(/['"](\.[^'"]+)\.js['"]/g)].map(([, to = '']) =>
          join(dirname(path), `${to}.d.ts`)
        )
      )
  )
  expect([...new Set([...entries, ...imported.flat()])].toSorted()).toEqual(
    packed.filter((path) => path.endsWith('.d.ts')).toSorted()
  )
})

test('imports every subpath with no framework installed', async () => {
  const names = await evaluate(
    bare,
    'import.mjs',
    `const names = {}
     for (const subpath of ${JSON.stringify(ALONE)}) names[subpath] = Object.keys(await import('${NAME}' + subpath))
     console.log(JSON.stringify(names))`
  )
  for (const subpath of ALONE) {
    const expected = EXPORTS[subpath] as readonly string[]
    expect((names as Record<string, string[]>)[subpath], subpath).toEqual(expect.arrayContaining([...expected]))
  }
})

test('requires every subpath from CommonJS, without a warning', async () => {
  const names = await evaluate(
    bare,
    'require.cjs',
    `const names = {}
     for (const subpath of ${JSON.stringify(ALONE)}) names[subpath] = Object.keys(require('${NAME}' + subpath))
     names.manifest = require('${NAME}/package.json').name
     console.log(JSON.stringify(names))`
  )
  for (const subpath of ALONE) {
    const expected = EXPORTS[subpath] as readonly string[]
    expect((names as Record<string, string[]>)[subpath], subpath).toEqual(expect.arrayContaining([...expected]))
  }
  expect(names).toMatchObject({ manifest: NAME })
})

test('refuses to import a path that is not exported', async () => {
  const code = await evaluate(
    bare,
    'internal.mjs',
    `const code = await import('${NAME}/dist/src/jwt.js').catch((error) => error.code)
     console.log(JSON.stringify(code))`
  )
  expect(code).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED')
})

/** Prints which packages of node_modules were loaded, by `import` or `require` alike, when `load` was done. */
const loadedAfter = (load: string): string => `
  import { Session } from 'node:inspector'
  const loaded = new Set()
  const session = new Session()
  session.connect()
  session.on('Debugger.scriptParsed', ({ params: { url } }) => {
    const [, name] = /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(url) ?? []
    if (name) loaded.add(name)
  })
  session.post('Debugger.enable')
  ${load}
  session.disconnect()
  console.log(JSON.stringify([...loaded].sort()))`

test('importing the package and all its adapters loads neither undici nor a framework', async () => {
  const load = `for (const subpath of ${JSON.stringify(ALONE)}) await import('${NAME}' + subpath)`
  const loaded = (await evaluate(app, 'loaded.mjs', loadedAfter(load))) as string[]
  expect(loaded).toContain(NAME)
  for (const name of ['undici', 'express', 'koa', 'fastify', 'hono']) expect(loaded).not.toContain(name)
})

test('loads undici when something must be fetched, and not for configured keys', async () => {
  const issuer = await startIssuer()
  onTestFinished(() => issuer.close())
  const load = (more: string): string => `
    const { resourceServer } = await import('${NAME}')
    const api = resourceServer({ resource: 'https://api.example.com', issuers: [{ issuer: '${issuer.issuer}', ${more} }] })
    await api.authorize({
      method: 'GET',
      url: '/',
      fieldLines: (name) => (name === 'authorization' ? ['Bearer ${issuer.token()}'] : [])
    })
    await api.close()`
  expect(await evaluate(app, 'fetching.mjs', loadedAfter(load('')))).toContain('undici')
  const keys = `jwks: ${JSON.stringify(issuer.jwks)}`
  expect(await evaluate(app, 'given.mjs', loadedAfter(load(keys)))).not.toContain('undici')
})

test('OPS-01: a process without work ends by itself, without close()', async () => {
  const issuer = await startIssuer()
  onTestFinished(() => issuer.close())
  const done = await evaluate(
    bare,
    'ends.mjs',
    `import { resourceServer } from '${NAME}'
     const api = resourceServer({ resource: 'https://api.example.com', issuers: ['${issuer.issuer}'] })
     await api.ready()
     console.log(JSON.stringify(api.health().status))`
  )
  expect(done).toBe('ok')
})

test('the five-line example protects an Express app with the tokens of a real issuer', async () => {
  const issuer = await startIssuer()
  onTestFinished(() => issuer.close())
  await writeFile(
    join(app, 'server.mjs'),
    `import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { protect, protectedResourceMetadata, getAuth } from 'oauth-resource-server/express'

const api = resourceServer({
  resource: 'https://api.example.com',
  issuers: [process.argv[2]],
})
const app = express()
app.use(protectedResourceMetadata(api))
app.get('/orders', protect(api, scope('orders:read')), (req, res) => res.json({ sub: getAuth(req).subject }))

const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))
`
  )
  const child = spawn(process.execPath, ['server.mjs', issuer.issuer], {
    cwd: app,
    stdio: ['ignore', 'pipe', 'ignore']
  })
  onTestFinished(() => void child.kill())
  const [port] = (await once(createInterface(child.stdout), 'line')) as [string]
  const ask = (path: string, token?: string): ReturnType<typeof send> => {
    const headers: Lines = token === undefined ? [] : [['Authorization', `Bearer ${token}`]]
    return send(Number(port), { path, headers })
  }
  const place = 'https://api.example.com/.well-known/oauth-protected-resource'

  const granted = await ask('/orders', issuer.token({ claims: { scope: 'orders:read' } }))
  expect([granted.status, granted.body]).toEqual([200, '{"sub":"u1"}'])

  const missing = await ask('/orders')
  expect([missing.status, missing.values('www-authenticate')]).toEqual([
    401,
    [`Bearer scope="orders:read", resource_metadata="${place}"`]
  ])
  const narrow = await ask('/orders', issuer.token())
  expect([narrow.status, narrow.values('www-authenticate')]).toEqual([
    403,
    [
      `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="orders:read", resource_metadata="${place}"`
    ]
  ])
  const metadata = await ask('/.well-known/oauth-protected-resource')
  expect([metadata.status, JSON.parse(metadata.body)]).toEqual([
    200,
    {
      resource: 'https://api.example.com',
      authorization_servers: [issuer.issuer],
      scopes_supported: ['orders:read'],
      bearer_methods_supported: ['header']
    }
  ])
})

test('a CommonJS app registers the Fastify plugin that it requires', async () => {
  const answer = await evaluate(
    app,
    'fastify.cjs',
    `const fastify = require('fastify')
     const { resourceServer, scope } = require('${NAME}')
     const api = resourceServer({ resource: 'https://api.example.com', issuers: ['https://as.example.com'] })
     const app = fastify()
     const plugin = require('${NAME}/fastify')
     app.register(plugin, { api })
     app.setErrorHandler(plugin.errorHandler)
     app.get('/items', { config: { auth: scope('read') } }, async () => ({}))
     app.inject('/items').then(({ statusCode, headers }) =>
       console.log(JSON.stringify([statusCode, headers['www-authenticate']])))`
  )
  expect(answer).toEqual([
    401,
    ['Bearer scope="read", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"']
  ])
})

/** Versions of TypeScript, by the folder that each is installed in. */
const COMPILERS = { '5.8': 'typescript58', '5.9': 'typescript59', '6.0': 'typescript60', '7.0': 'typescript' }

describe.each(Object.entries(COMPILERS))('TypeScript %s', { timeout: 120_000 }, (version, compiler) => {
  test('the compiler is of that version', async () => {
    const { version: installed } = JSON.parse(
      await readFile(join(root, 'node_modules', compiler, 'package.json'), 'utf8')
    )
    expect(installed).toMatch(new RegExp(`^${version.replace('.', '\\.')}\\.`))
  })

  test.each([
    ['ES modules', 'nodenext', 'consumer.mts', "import express from 'express'"],
    ['CommonJS', 'nodenext', 'consumer.cts', "import express = require('express')"],
    ['a bundler', 'preserve', 'consumer.ts', "import express from 'express'"]
  ])(
    'compiles the types without skipLibCheck, and with only the framework used: %s',
    async (_for, module, file, importExpress) => {
      await writeFile(
        join(app, file),
        `${importExpress}
import { type Access, resourceServer, scope } from '${NAME}'
import { getAuth, protect } from '${NAME}/express'
import * as fetchAdapter from '${NAME}/fetch'
import * as hono from '${NAME}/hono'
import * as koa from '${NAME}/koa'
import { fromEnv } from '${NAME}/env'
import { explainChecks } from '${NAME}/explain'
import { logTo } from '${NAME}/log'
import { authInfo, toolScopes } from '${NAME}/mcp'
import * as node from '${NAME}/node'
import { securityOf } from '${NAME}/openapi'
import { instrument } from '${NAME}/otel'
import { keycloak } from '${NAME}/profiles'
import { createTestIssuer } from '${NAME}/testing'

const api = resourceServer<'a' | 'b'>({ resource: 'https://api.example.com', issuers: ['https://as.example.com'] })
express().get('/:id', protect(api, scope('a')), (req, res) => {
  const access: Access = getAuth(req)
  res.json([access.subject, req.params.id])
})
// @ts-expect-error misspelt
protect(api, scope('c'))
export const all: unknown[] = [koa.protect(api), hono.protect(api), fetchAdapter.protect(api), node.protect(api)]
export const more: unknown[] = [fromEnv, explainChecks, logTo, authInfo, toolScopes, securityOf, instrument, keycloak, createTestIssuer]
`
      )
      const config = {
        compilerOptions: { module, target: 'es2023', lib: ['es2023'], types: ['node'], strict: true, noEmit: true },
        files: [file]
      }
      await writeFile(join(app, `tsconfig.${file}.json`), JSON.stringify(config))
      expect(await compile(compiler, `tsconfig.${file}.json`)).toBe('')
    }
  )
})

test.each(['node16', 'commonjs'])(
  'a NestJS project of CommonJS compiles and runs as `nest new` makes it, with module %s',
  { timeout: 240_000 },
  async (module) => {
    for (const one of ['@nestjs', 'reflect-metadata', 'rxjs', 'tslib'])
      await symlink(join(root, 'node_modules', one), join(app, 'node_modules', one), 'dir').catch(() => undefined)
    const main = await readFile(join(root, 'examples/hosts/nest.ts'), 'utf8')
    await mkdir(join(app, module), { recursive: true })
    await writeFile(
      join(app, module, 'main.ts'),
      main.replace('void bootstrap()', 'bootstrap().then(() => process.exit())')
    )
    const compilerOptions = {
      module,
      ...(module === 'commonjs' && { moduleResolution: 'node10' }),
      target: 'es2023',
      types: ['node'],
      strict: true,
      skipLibCheck: true,
      esModuleInterop: true,
      isolatedModules: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      outDir: `${module}/dist`
    }
    await writeFile(join(app, `${module}.json`), JSON.stringify({ compilerOptions, files: [`${module}/main.ts`] }))
    expect(await compile('typescript59', `${module}.json`)).toBe('')
    const { stdout } = await run(process.execPath, [`${module}/dist/main.js`], {
      cwd: app,
      env: { PATH: process.env.PATH, PORT: '0' }
    })
    expect(stdout).toContain('NestJS: http://localhost:0/orders')
  }
)

/** What the compiler says of a project. */
async function compile(compiler: string, config: string): Promise<string> {
  try {
    await run(process.execPath, [join(root, 'node_modules', compiler, 'bin/tsc'), '-p', config, '--pretty', 'false'], {
      cwd: app
    })
    return ''
  } catch (error) {
    return (error as { stdout: string }).stdout || String(error)
  }
}
