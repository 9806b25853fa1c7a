/** How the source hangs together: who may import whom, and what no file may do. Read from the files themselves. */
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

interface Import {
  /** As written; a path within the project as `src/errors/errors` or `adapters/fetch`. */
  readonly from: string
  /** Erased by the compiler: of types alone. */
  readonly typeOnly: boolean
  readonly dynamic: boolean
}

interface Source {
  readonly name: string
  readonly text: string
  /** Without comments. */
  readonly code: string
  readonly imports: readonly Import[]
}

const STATIC = /^(?:import|export)\s+(type\s)?([^'"`;]*?)\s*from\s*'([^']+)'/gm
const BARE = /^import\s+'([^']+)'/gm
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g

function read(folder: 'src' | 'adapters'): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts') && !file.startsWith('cli/'))
    .map((file) => {
      const text = readFileSync(join(root, folder, file), 'utf8')
      const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
      const resolve = (from: string): string =>
        from.startsWith('.') ? join(folder, dirname(file), from).replaceAll('\\', '/').replace(/\.js$/, '') : from
      return {
        name: `${folder}/${file.slice(0, -3)}`,
        text,
        code,
        imports: [
          ...[...code.matchAll(STATIC)].map(([, type, names = '', from = '']) => ({
            from: resolve(from),
            typeOnly: type !== undefined || hasOnlyTypes(names),
            dynamic: false
          })),
          ...[...code.matchAll(BARE)].map(([, from = '']) => ({
            from: resolve(from),
            typeOnly: false,
            dynamic: false
          })),
          ...[...code.matchAll(DYNAMIC)].map(([, from = '']) => ({
            from: resolve(from),
            typeOnly: false,
            dynamic: true
          }))
        ]
      }
    })
}

/** `{ type A, type B }`. */
function hasOnlyTypes(names: string): boolean {
  const list = /^\{([^}]*)\}$/.exec(names.trim())?.[1]
  return list?.split(',').every((one) => one.trim() === '' || one.trim().startsWith('type ')) ?? false
}

const src = read('src')
const adapters = read('adapters')
const all = [...src, ...adapters]

const importersOf = (from: string, files = all): readonly string[] =>
  files
    .filter(({ imports }) => imports.some((one) => one.from === from))
    .map(({ name }) => name)
    .toSorted()

describe('layers', () => {
  /** From the bottom up. What a file uses of the project stands above it in this list: never up, never in a circle. */
  const ORDER = [
    'src/types',
    'src/server/options',
    'src/base/awaitable',
    'src/base/json',
    'src/errors/challenge',
    'src/base/place',
    'src/base/reach',
    'src/base/problems',
    'src/errors/reasons',
    'src/errors/resource-server-error',
    'src/errors/refusal',
    'src/errors/errors',
    'src/http/callers',
    'src/profiles/fapi2',
    'src/base/cache',
    'src/access-token/token-cache',
    'src/server/diagnostics',
    'src/http/places',
    'src/http/breaker',
    'src/documents/source',
    'src/http/public-addresses',
    'src/http/proxy',
    'src/http/exchange',
    'src/jwt/algorithms',
    'src/jwt/verify-signature',
    'src/issuer/client-auth',
    'src/profiles/problems',
    'src/profiles/hosted',
    'src/profiles/servers',
    'src/profiles/workloads',
    'src/profiles/index',
    'src/sharing/memory-once-store',
    'src/sharing/shared',
    'src/documents/fleet',
    'src/documents/document',
    'src/confirmation/nonce',
    'src/confirmation/target-uri',
    'src/server/protected-resource',
    'src/jwt/key-set',
    'src/jwt/key-memory',
    'src/jwt/looks',
    'src/jwt/claims',
    'src/jwt/compact',
    'src/jwt/decryption',
    'src/token68',
    'src/credentials',
    'src/confirmation/certificate',
    'src/confirmation/dpop',
    'src/confirmation/confirmation',
    'src/policy/checks',
    'src/policy/policy',
    'src/revocation/revocation',
    'src/revocation/settings',
    'src/revocation/revocations',
    'src/revocation/lifetime',
    'src/confirmation/settings',
    'src/issuer/introspection-settings',
    'src/issuer/settings',
    'src/server/settings',
    'src/server/describe',
    'src/issuer/discovery',
    'src/issuer/jwks-auth',
    'src/jwt/verify-jwt',
    'src/issuer/introspection-evidence',
    'src/issuer/issuer',
    'src/introspection/signed-answer',
    'src/revocation/status-list-token',
    'src/revocation/status-list',
    'src/introspection/introspect',
    'src/introspection/shared-answers',
    'src/introspection/known-tokens',
    'src/introspection/cache',
    'src/issuer/issuers',
    'src/access-token/verified-access-token',
    'src/access-token/fresh',
    'src/access-token/access-token',
    'src/server/resource-metadata',
    'src/revocation/fan-out-messages',
    'src/revocation/fan-out',
    'src/server/internals',
    'src/receivers/receiver',
    'src/receivers/event-subjects',
    'src/server/interface',
    'src/receivers/transmitters',
    'src/receivers/security-events',
    'src/receivers/logout-token',
    'src/server/health',
    'src/server/resource-server',
    'src/index'
  ]

  test('every file opens by saying what it is', () => {
    for (const { name, text } of [...src, ...adapters]) expect(text.startsWith('/**'), name).toBe(true)
  })

  test('every file has its place', () => {
    expect(src.map(({ name }) => name).sort()).toEqual([...ORDER].sort())
  })

  test.each(src.map((file) => [file.name, file] as const))('%s uses only what is below it', (name, { imports }) => {
    const below = ORDER.slice(0, ORDER.indexOf(name))
    const used = imports.filter(({ from, typeOnly }) => from.startsWith('src/') && !typeOnly).map(({ from }) => from)
    expect(used.filter((from) => !below.includes(from))).toEqual([])
  })

  test('nobody but the adapters imports index, and nobody but index the wiring', () => {
    expect(importersOf('src/index', src)).toEqual([])
    expect(importersOf('src/server/resource-server')).toEqual(['src/index'])
  })

  test('src knows no adapter and no framework', () => {
    for (const { imports } of src) {
      for (const { from } of imports) {
        expect(from).not.toMatch(/^adapters\//)
        expect(from).not.toMatch(/^(express|koa|fastify|hono|@hono|@koa|@types)\b/)
      }
    }
  })

  test('the stations do not know one another: only the wiring puts them in order', () => {
    const stations = ['credentials', 'access-token', 'confirmation', 'policy'].map((name) => `src/${name}`)
    const between = src
      .filter(({ name }) => stations.includes(name))
      .flatMap(({ name, imports }) =>
        imports.filter(({ from }) => stations.includes(from)).map(({ from }) => `${name} → ${from}`)
      )
    expect(between).toEqual([])
  })

  test('AccessToken and Access are each made in one place', () => {
    const makers = (pattern: RegExp): readonly string[] =>
      src.filter(({ code }) => pattern.test(code)).map(({ name }) => name)
    expect(makers(/new VerifiedAccessToken\(/)).toEqual(['src/access-token/access-token'])
    expect(makers(/implements Access\b/)).toEqual(['src/confirmation/confirmation'])
    expect(makers(/\.advertise\(/)).toEqual(['src/server/resource-server'])
  })
})

describe('what comes from outside', () => {
  const dependencies = Object.keys(
    (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }).dependencies
  )

  test('three packages, each imported by few files', () => {
    expect(dependencies).toEqual(['jose', 'lru-cache', 'undici'])
    expect(importersOf('jose')).toEqual(['src/issuer/client-auth', 'src/jwt/decryption'])
    // The proxy's is its types: undici is handed to it.
    expect(importersOf('undici')).toEqual(['src/http/exchange', 'src/http/proxy'])
    expect(importersOf('lru-cache')).toEqual(['src/base/cache', 'src/issuer/issuers'])
  })

  test('jose and undici are loaded when they are needed, not before', () => {
    for (const { imports } of all) {
      for (const { from, dynamic, typeOnly } of imports) {
        if (from === 'jose' || from === 'undici') expect(dynamic || typeOnly).toBe(true)
      }
    }
  })

  test('in src nothing else but built-ins, by their full names', () => {
    for (const { imports } of src) {
      for (const { from } of imports) {
        if (from.startsWith('src/') || dependencies.includes(from)) continue
        expect(from).toMatch(/^node:/)
        expect(builtinModules).toContain(from.replace('node:', ''))
      }
    }
  })

  test('signatures are checked in one file, and keys imported in another', () => {
    const using = (pattern: RegExp): readonly string[] =>
      src.filter(({ code }) => pattern.test(code)).map(({ name }) => name)
    expect(using(/\bverify\(key\./)).toEqual(['src/jwt/verify-signature'])
    expect(using(/\bcreatePublicKey\(/)).toEqual(['src/jwt/key-set'])
    expect(using(/\bfetch\(/)).toEqual([])
  })
})

describe('adapters', () => {
  const FRAMEWORK: Readonly<Record<string, readonly string[]>> = {
    'adapters/express': [],
    'adapters/express-augment': [],
    'adapters/koa': [],
    'adapters/fastify': ['fastify'],
    'adapters/fetch': [],
    'adapters/hono': ['hono', 'adapters/fetch'],
    'adapters/shared/receive': [],
    'adapters/shared/error-body': [],
    'adapters/node': [],
    'integrations/openapi': [],
    'integrations/channels': [],
    'integrations/log': ['integrations/channels'],
    'integrations/otel': ['integrations/channels'],
    'adapters/mcp': [],
    'adapters/shared/node-request': [],
    'integrations/redis': [],
    'integrations/env': [],
    'src/errors/explain': [],
    'test-kit/issuer': ['test-kit/endpoints', 'test-kit/keys'],
    'test-kit/endpoints': [],
    'test-kit/keys': []
  }

  test.each(adapters.map((file) => [file.name, file] as const))(
    '%s translates, and knows nothing else',
    (name, { imports }) => {
      const allowed = [
        'src/index',
        'adapters/shared/node-request',
        'adapters/shared/error-body',
        'adapters/shared/receive',
        ...(FRAMEWORK[name] ?? [])
      ]
      expect(FRAMEWORK[name]).toBeDefined()
      for (const { from } of imports) expect(from.startsWith('node:') || allowed.includes(from)).toBe(true)
    }
  )

  test('a framework is a peer: of it only types are imported, so that one build serves its versions', () => {
    for (const { imports } of adapters) {
      for (const { from, typeOnly } of imports) {
        if (!/^(src|adapters)\/|^node:/.test(from)) expect(typeOnly).toBe(true)
      }
    }
  })

  test('have no words of their own for a refusal', () => {
    // One is the list of them.
    for (const { code } of adapters.filter(({ name }) => name !== 'src/errors/explain')) {
      expect(code).not.toMatch(/invalid_token|insufficient_scope|invalid_request|error_description|resource_metadata/)
    }
  })
})

describe('every file', () => {
  test.each(all.map((file) => [file.name, file] as const))('%s keeps the rules of the house', (name, { code }) => {
    // A library is configured by its user, not by the process; and it does not talk. `http.proxy: 'environment'` asks for it.
    const pattern = name === 'src/http/proxy' ? /\bprocess\.(exit|on)\b/ : /\bprocess\.(env|exit|on)\b/
    expect(code).not.toMatch(pattern)
    expect(code).not.toMatch(/\bconsole\./)
    // State lives in what resourceServer() returns, so that two of them share none.
    expect(code).not.toMatch(/^(export\s+)?(let|var)\s/m)
    // Types must be erasable; and a cast to any would end them.
    expect(code.replace('namespace Express', '')).not.toMatch(
      /^\s*(export\s+)?(declare\s+)?(const\s+)?(enum|namespace)\s/m
    )
    expect(code).not.toMatch(/\bas any\b|@ts-ignore|@ts-nocheck/)
    expect(code).not.toMatch(/^export default\s(?!fastifyResourceServer)/m)
  })
})

test.each(['confirmation/dpop', 'confirmation/nonce', 'confirmation/confirmation', 'confirmation/certificate'])(
  'SEC-03: src/%s compares thumbprints, ath and nonces never by ===, which tells where they differ',
  (name) => {
    expect(src.find((file) => file.name === `src/${name}`)?.code).not.toMatch(
      /(?<!typeof )\b(?:ath|jkt|nonce|thumbprint|mac|secret)\w* [!=]== (?!undefined\b|')/
    )
  }
)
