/** How the source hangs together: who may import whom, and what no file may do. Read from the files themselves. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
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

function read(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts'))
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
const integrations = [...read('integrations'), ...read('test-kit')]
const conformance = read('conformance')
const all = [...src, ...adapters, ...integrations, ...conformance]

const importersOf = (from: string, files = all): readonly string[] =>
  files
    .filter(({ imports }) => imports.some((one) => one.from === from))
    .map(({ name }) => name)
    .toSorted()

/** A folder of `src`, or a file directly in it: `jwt`, `credentials`. */
const layerOf = (name: string): string => name.split('/')[1] as string
const folderOf = (name: string): string => name.slice(0, name.lastIndexOf('/'))

describe('layers', () => {
  /** From the bottom up. Each import, of types too, is to the same layer or to one before it. */
  const LAYERS = [
    'types',
    'base',
    'errors',
    'http',
    'sharing',
    'documents',
    'jwt',
    'issuer',
    'introspection',
    'credentials',
    'access-token',
    'confirmation',
    'policy',
    'revocation',
    'server',
    'receivers',
    'profiles',
    'adapter',
    'index',
    'cli'
  ]

  test('every file begins with a comment about its purpose', () => {
    for (const { name, text } of all) expect(text.replace(/^#!.*\n/, '').startsWith('/**'), name).toBe(true)
  })

  test('a source without a test of its name says where its rules are tested', () => {
    const silent = src.filter(({ name, text, code }) => {
      const test = `${name.replace(/^src\//, 'test/')}.test.ts`
      const named = /Tests: `(test\/[^`]+)`/.exec(text)?.[1]
      if (named !== undefined) return !existsSync(join(root, named))
      const hasCode = /^(?:export )?(?:abstract )?(?:async )?(?:function|class) /m.test(code)
      return hasCode && !existsSync(join(root, test))
    })
    expect(silent.map(({ name }) => name)).toEqual([])
  })

  test('every folder of src has its layer', () => {
    expect([...new Set(src.map(({ name }) => layerOf(name)))].toSorted()).toEqual(LAYERS.toSorted())
  })

  test.each(src.map((file) => [file.name, file] as const))(
    '%s imports nothing from a layer above',
    (name, { imports }) => {
      const own = LAYERS.indexOf(layerOf(name))
      const above = imports.filter(({ from }) => from.startsWith('src/') && LAYERS.indexOf(layerOf(from)) > own)
      expect(above.map(({ from }) => from)).toEqual([])
    }
  )

  test('files of a folder import one another in a circle only for types', () => {
    const after = new Map(
      src.map(({ name, imports }) => [
        name,
        imports.filter(({ from, typeOnly }) => !typeOnly && folderOf(from) === folderOf(name)).map(({ from }) => from)
      ])
    )
    const circles: string[] = []
    const walk = (name: string, path: readonly string[]): void => {
      if (path.includes(name)) circles.push([...path.slice(path.indexOf(name)), name].join(' → '))
      else for (const next of after.get(name) ?? []) walk(next, [...path, name])
    }
    for (const name of after.keys()) walk(name, [])
    expect([...new Set(circles)]).toEqual([])
  })

  test('a folder holds at most 12 files', () => {
    const counts: Record<string, number> = {}
    for (const { name } of src) counts[folderOf(name)] = (counts[folderOf(name)] ?? 0) + 1
    expect(Object.entries(counts).filter(([, count]) => count > 12)).toEqual([])
  })

  test('only the command imports index, and only index imports the wiring', () => {
    expect(importersOf('src/index', src).filter((name) => layerOf(name) !== 'cli')).toEqual([])
    expect(importersOf('src/server/resource-server')).toEqual(['src/index'])
  })

  test('src imports no adapter and no framework', () => {
    for (const { name, imports } of src) {
      for (const { from } of imports) {
        // The command `issuer` is an authorization server, made of the test kit.
        if (!name.startsWith('src/cli/issuer/')) expect(from).not.toMatch(/^test-kit\//)
        if (name !== 'src/cli/conformance-command') expect(from).not.toMatch(/^conformance\//)
        expect(from).not.toMatch(/^(adapters|integrations)\//)
        expect(from).not.toMatch(/^(express|koa|fastify|hono|@hono|@koa|@types)\b/)
      }
    }
  })

  test('stations do not import one another: only the walk and the wiring order them', () => {
    const stations = ['credentials', 'access-token', 'confirmation', 'policy', 'revocation']
    const between = src
      .filter(({ name }) => stations.includes(layerOf(name)))
      .flatMap(({ name, imports }) =>
        imports
          .filter(({ from }) => stations.includes(layerOf(from)) && layerOf(from) !== layerOf(name))
          .map(({ from }) => `${layerOf(name)} → ${from}`)
      )
    expect([...new Set(between)].toSorted()).toEqual([
      'confirmation → src/access-token/verified-access-token',
      'revocation → src/access-token/verified-access-token'
    ])
    const several = src.filter(({ name, imports }) => {
      const known = new Set(
        imports.filter(({ from }) => stations.includes(layerOf(from))).map(({ from }) => layerOf(from))
      )
      return !['index', 'cli', ...stations].includes(layerOf(name)) && known.size > 3
    })
    expect(several.map(({ name }) => name)).toEqual(['src/server/authorize', 'src/server/resource-server'])
  })

  test('AccessToken and Access are each created in one file, and a refusal is advertised in one', () => {
    const makers = (pattern: RegExp): readonly string[] =>
      src.filter(({ code }) => pattern.test(code)).map(({ name }) => name)
    expect(makers(/new VerifiedAccessToken\(/)).toEqual(['src/access-token/access-token'])
    expect(makers(/implements Access\b/)).toEqual(['src/confirmation/confirmation'])
    // The second one is the reason of `access.signal`, which no request waits for.
    expect(makers(/\.advertise\(/)).toEqual(['src/server/authorize', 'src/server/resource-server'])
  })

  test('collections that live as long as the module are marks on objects, which two servers cannot fill or exhaust', () => {
    const collection = /^(?:export )?const (\w+)[^=\n]*= new (?:Weak(?:Map|Set)|Map|Set)(?:<.*>)?\(\)/gm
    const found = src.flatMap(({ name, code }) => [...code.matchAll(collection)].map(([, mark]) => `${name} ${mark}`))
    expect(found.toSorted()).toEqual([
      'src/base/options/problems MISTAKES',
      // Empty, and typed as read-only.
      'src/base/reach NO_HOSTS',
      'src/issuer/client-auth basicSecrets',
      'src/issuer/client-auth byCertificate',
      'src/policy/scope grantChecks'
    ])
  })

  test('options are read only in the settings files', () => {
    const edge = /\/(?:[\w-]*settings|decryption-keys|issuers|transmitters|logout-token|receiver)$|^src\/profiles\//
    expect(importersOf('src/base/options/problems', src).filter((name) => !edge.test(name))).toEqual([])
  })
})

describe('dependencies', () => {
  const dependencies = Object.keys(
    (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }).dependencies
  )

  test('three packages are used, each imported by few files', () => {
    expect(dependencies).toEqual(['jose', 'lru-cache', 'undici'])
    expect(importersOf('jose')).toEqual(['src/cli/issuer/dpop', 'src/issuer/client-auth', 'src/jwt/decryption'])
    expect(importersOf('oidc-provider')).toEqual(['src/cli/issuer/provider'])
    // The proxy's is its types: undici is handed to it.
    expect(importersOf('undici')).toEqual(['src/cli/connections', 'src/http/exchange', 'src/http/proxy'])
    expect(importersOf('lru-cache')).toEqual(['src/base/cache'])
  })

  test('jose and undici are loaded only when they are needed', () => {
    for (const { imports } of all) {
      for (const { from, dynamic, typeOnly } of imports) {
        if (from === 'jose' || from === 'undici') expect(dynamic || typeOnly).toBe(true)
      }
    }
  })

  test('src imports nothing else except built-ins, by their full names', () => {
    for (const { name, imports } of src) {
      for (const { from } of imports) {
        if (name.startsWith('src/cli/issuer/') && /^(?:test-kit\/|oidc-provider$)/.test(from)) continue
        if (name === 'src/cli/conformance-command' && from === 'conformance/command') continue
        if (from.startsWith('src/') || dependencies.includes(from)) continue
        expect(from).toMatch(/^node:/)
        expect(builtinModules).toContain(from.replace('node:', ''))
      }
    }
  })

  test('signatures are checked in one file, and keys are imported in another', () => {
    const using = (pattern: RegExp): readonly string[] =>
      src.filter(({ code }) => pattern.test(code)).map(({ name }) => name)
    expect(using(/\bverify\(key\./)).toEqual(['src/jwt/verify-signature'])
    expect(using(/\bcreatePublicKey\(/)).toEqual(['src/jwt/key-set'])
    // The doctor asks the API itself, as any client would; authorization servers it asks as the API does.
    expect(using(/\bfetch\(/)).toEqual(['src/cli/doctor/resource-checks'])
  })
})

describe('adapters', () => {
  const PEERS = ['fastify', 'hono']
  /** Nest's decorators and injection tokens are values. One build serves its versions, because they are stable. */
  const NEST = ['@nestjs/common', '@nestjs/core', 'reflect-metadata']

  test.each([...adapters, ...integrations].map((file) => [file.name, file] as const))(
    '%s imports the core by its index and its check of options, its own folder, and what adapters share',
    (name, { imports }) => {
      const own = folderOf(name)
      /** An adapter's parts are in a folder of its name: `adapters/fastify`. */
      const framework = name.split('/')[1]
      const isAdapter = own.startsWith('adapters') && own !== 'adapters/shared'
      for (const { from } of imports)
        expect(
          from.startsWith('node:') ||
            from === 'src/index' ||
            // The check of options, for functions that must not load the core.
            (from === 'src/base/options/spelling' && ['integrations', 'test-kit'].includes(own)) ||
            // The internal names that adapters need, in one file, so that they are not public.
            (from === 'src/adapter' && own.startsWith('adapters')) ||
            folderOf(from) === own ||
            (isAdapter && ['adapters/shared', `adapters/${framework}`].includes(folderOf(from))) ||
            (isAdapter && framework === from && PEERS.includes(from)) ||
            (isAdapter && framework === 'nestjs' && NEST.includes(from)),
          from
        ).toBe(true)
    }
  )

  test('only types of a framework are imported, so that one build serves all its versions', () => {
    for (const { name, imports } of [...adapters, ...integrations]) {
      for (const { from, typeOnly } of imports) {
        if (name.startsWith('adapters/nestjs') && NEST.includes(from)) continue
        if (!/^(src|adapters|integrations|test-kit)\/|^node:/.test(from)) expect(typeOnly).toBe(true)
      }
    }
  })

  test('an entry of an adapter has at most 120 lines: its parts are in the folder of its name', () => {
    const entries = adapters.filter(({ name }) => folderOf(name) === 'adapters')
    expect(entries.length).toBeGreaterThan(6)
    expect(entries.filter(({ text }) => text.trimEnd().split('\n').length > 120).map(({ name }) => name)).toEqual([])
  })

  test('adapters have no texts of their own for a refusal', () => {
    for (const { code } of [...adapters, ...integrations]) {
      expect(code).not.toMatch(/invalid_token|insufficient_scope|invalid_request|error_description|resource_metadata/)
    }
  })
})

describe('the conformance suite', () => {
  test('is loaded by its command when it is called, and by nothing else of the package', () => {
    const entries = all.filter(({ name }) => !name.startsWith('conformance/'))
    const importers = entries.flatMap(({ name, imports }) =>
      imports.filter(({ from }) => from.startsWith('conformance/')).map(({ dynamic }) => [name, dynamic])
    )
    expect(importers).toEqual([
      ['src/cli/conformance-command', true],
      ['src/cli/conformance-command', true]
    ])
  })

  test('imports the test kit, public names of the package, and for its command those of the command line', () => {
    for (const { name, imports } of conformance)
      for (const { from } of imports) {
        const isCommand = name === 'conformance/command' || name === 'conformance/issuer-flags'
        const isAllowed =
          /^(?:conformance|test-kit)\/|^node:|^src\/index$/.test(from) ||
          (isCommand && /^src\/cli\/(?:command|terminal)$/.test(from))
        expect(isAllowed, `${name} imports ${from}`).toBe(true)
      }
  })

  test('a folder holds at most 12 files, and each file says where it is tested', () => {
    const counts: Record<string, number> = {}
    for (const { name } of conformance) counts[folderOf(name)] = (counts[folderOf(name)] ?? 0) + 1
    expect(Object.entries(counts).filter(([, count]) => count > 12)).toEqual([])
    for (const { name, text } of conformance) {
      const named = /Tests: `(test\/[^`]+)`/.exec(text)?.[1] ?? `test/${name}.test.ts`
      expect(existsSync(join(root, named)), `${name}: ${named}`).toBe(true)
    }
  })
})

describe('every file', () => {
  /** All but the commands, which are processes of their own. */
  const library = all.filter(({ name }) => !name.startsWith('src/cli/') && name !== 'conformance/command')

  test.each(library.map((file) => [file.name, file] as const))(
    '%s follows the rules of the project',
    (name, { code }) => {
      // A library is configured by its user, not by the process; and it does not talk. `http.proxy: 'environment'` asks for it.
      const pattern = name === 'src/http/proxy' ? /\bprocess\.(exit|on)\b/ : /\bprocess\.(env|exit|on)\b/
      expect(code).not.toMatch(pattern)
      // The one file that speaks where there is no logger.
      if (name !== 'src/server/voice') expect(code).not.toMatch(/\bconsole\??\.|\bprocess\??\.emitWarning/)
      // State lives in what resourceServer() returns, so that two of them share none.
      if (name !== 'src/base/world') expect(code).not.toMatch(/^(export\s+)?(let|var)\s/m)
      // Types must be erasable; and a cast to any would end them.
      expect(code.replace('namespace Express', '')).not.toMatch(
        /^\s*(export\s+)?(declare\s+)?(const\s+)?(enum|namespace)\s/m
      )
      expect(code).not.toMatch(/\bas any\b|@ts-ignore|@ts-nocheck/)
      expect(code).not.toMatch(/^export default\s(?!fastifyResourceServer)/m)
    }
  )
})

describe('the port to the world', () => {
  /** Globals and built-ins that give time, timers, chance and turns. `npm run simulate` can replace only the port. */
  const OUTSIDE =
    /\bMath\.random\b|\bDate\.now\b|\bnew Date\(\)|\bDate\(\)|\bperformance\b|\bhrtime\b|\bset(?:Timeout|Interval|Immediate)\(|\bclear(?:Timeout|Interval|Immediate)\(|\brandom(?:UUID|Bytes|Int|FillSync|Fill)\b|\bgetRandomValues\b|\bAbortSignal\.timeout\b|\bnextTick\b|'node:(?:timers|perf_hooks)/

  test('the pattern finds each way past the port', () => {
    const ways = [
      'Math.random()',
      'Date.now()',
      'new Date()',
      'performance.now()',
      'setTimeout(call, 1)',
      'clearTimeout(timer)',
      'setImmediate(call)',
      'crypto.randomUUID()',
      'randomBytes(32)',
      'AbortSignal.timeout(1)',
      "from 'node:timers/promises'"
    ]
    expect(ways.filter((way) => !OUTSIDE.test(way))).toEqual([])
  })

  test.each(
    [...src, ...adapters]
      .filter(({ name }) => !name.startsWith('src/cli/') && name !== 'src/base/world')
      .map((file) => [file.name, file] as const)
  )('%s takes time, timers and chance only from src/base/world', (_, { code }) => {
    // Texts of hints may quote such calls.
    const bare = code.replace(/'(?!node:)(?:[^'\\\n]|\\.)*'/g, "''")
    expect(OUTSIDE.exec(bare)?.[0]).toBeUndefined()
  })
})

test.each(['confirmation/dpop', 'confirmation/nonce', 'confirmation/confirmation', 'confirmation/certificate'])(
  'SEC-03: src/%s never compares thumbprints, ath or nonces with ===, whose time reveals where they differ',
  (name) => {
    expect(src.find((file) => file.name === `src/${name}`)?.code).not.toMatch(
      /(?<!typeof )\b(?:ath|jkt|nonce|thumbprint|mac|secret)\w* [!=]== (?!undefined\b|')/
    )
  }
)
