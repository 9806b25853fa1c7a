/**
 * The documents say what is true. Every block of code is a part of an example that is run (`test/examples/examples.test.ts`) or
 * compiles; links lead somewhere; the tables of options are complete; every reason can be looked up.
 *
 * A block from an example is marked on the line before: `<!-- examples/koa.mjs -->` for a whole file, with a fragment
 * (`#api`) for what is between its `// #region api` and `// #endregion`.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { reasonPages } from '../scripts/site/reasons.mjs'
import { LIMIT_REASONS, PROOF_REASONS, REQUEST_REASONS, TOKEN_REASONS } from '../src/errors/reasons.js'
import {
  CredentialsMissing,
  type Dependency,
  Forbidden,
  InsufficientAuthentication,
  InsufficientAuthorizationDetails,
  InsufficientRole,
  InsufficientScope,
  InvalidProof,
  InvalidRequest,
  InvalidToken,
  type LimitReason,
  Misconfigured,
  ProofNonceRequired,
  type ProofReason,
  type RequestReason,
  type ResourceServerError,
  type TokenReason,
  TooManyRequests,
  Unavailable
} from '../src/index.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SOURCES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'))
/** Inside the repository, so that the package is found by its own name, as a reader's program finds it. */
const WORK = join(ROOT, 'test/.tmp/readme')

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
/** Every Markdown file below a folder, without those that are installed or made by commands. */
const markdownIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return /^(\..*|node_modules|dist|coverage)$/.test(entry.name) ? [] : markdownIn(path)
    return entry.name.endsWith('.md') ? [path] : []
  })
const DOCUMENTS = markdownIn('.')
/** A part of docs/performance.md, where its links lead somewhere. */
const PART = 'bench/tried.md'
/** Those that are not written by a script. */
const WRITTEN_BY_HAND = DOCUMENTS.filter((path) => !['docs/rules.md', 'docs/reference.md'].includes(path))

/** Pages without a first thing to paste: an index, and results that a script writes. */
const TO_BE_LOOKED_UP = ['docs/README.md', 'docs/performance.md']

interface Block {
  readonly where: string
  readonly language: string
  readonly code: string
  /** The example it says it is from: path, and region. */
  readonly example: string | undefined
}

function blocksOf(path: string): Block[] {
  const text = read(path)
  const fence = /(?:^<!-- (examples\/\S+) -->\n)?^( *)```(\w*)\n([\s\S]*?)^\2```$/gm
  return [...text.matchAll(fence)].map(({ 1: example, 2: indent = '', 3: language = '', 4: code = '', index }) => ({
    where: `${path}:${text.slice(0, index).split('\n').length}`,
    language,
    // A block within a list is indented.
    code: code.replace(new RegExp(`^${indent}`, 'gm'), ''),
    example
  }))
}

const BLOCKS = WRITTEN_BY_HAND.flatMap(blocksOf)
const CODE = BLOCKS.filter(({ language }) => /^(js|mjs|javascript|ts|mts|typescript)$/.test(language))

/** An example as a reader is shown it: without what is there for the editor and for this test. */
function shown(reference: string): string {
  const [path = '', region] = reference.split('#')
  const lines = read(path).split('\n')
  const from = region === undefined ? 0 : lines.indexOf(`// #region ${region}`) + 1
  const to = region === undefined ? lines.length : lines.indexOf('// #endregion', from)
  if (region !== undefined && (from === 0 || to < 0)) throw new Error(`${path} has no region ${region}`)
  return lines
    .slice(from, to)
    .filter((line) => !/^\/\/ (@ts-check|#region|#endregion)/.test(line))
    .concat(region === undefined ? [] : [''])
    .join('\n')
}

/** What a block may use without saying where it comes from: it is clear from the text around it. */
const AMBIENT = `
import type { Express, RequestHandler } from 'express'
import type { Access, ResourceRequest, ResourceServer } from 'oauth-resource-server'

declare global {
  const app: Express
  const api: ResourceServer
  const access: Access
  const request: ResourceRequest
  const listOrders: RequestHandler
  const readBody: RequestHandler
  function findOrder(id: unknown): Promise<{ owner: string }>
}
`

/** Pages that stand alone: a newcomer pastes one page into an empty folder. */
const FRAMEWORKS = ['compose', 'graphql', 'kubernetes', 'lambda', 'mcp', 'nestjs', 'nextjs', 'trpc'].map(
  (name) => `docs/${name}.md`
)

/** One program of all blocks, each a module: `tsc` is started once. */
async function compile(blocks: readonly Block[], ambient: string): Promise<string> {
  rmSync(WORK, { recursive: true, force: true })
  mkdirSync(WORK, { recursive: true })
  const name = ({ where, language }: Block): string =>
    `${where.replace(/[^\w]+/g, '_')}.${language.startsWith('t') || language === 'mts' ? 'mts' : 'mjs'}`
  for (const block of blocks) writeFileSync(join(WORK, name(block)), block.code)
  writeFileSync(join(WORK, 'ambient.mts'), ambient)
  const config = {
    extends: relative(WORK, join(ROOT, 'tsconfig.json')),
    compilerOptions: {
      allowJs: true,
      checkJs: true,
      declaration: false,
      isolatedDeclarations: false,
      noUnusedLocals: false,
      noUnusedParameters: false
    },
    include: ['*', relative(WORK, join(ROOT, 'examples/*.mjs'))]
  }
  writeFileSync(join(WORK, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  return promisify(execFile)(process.execPath, [tsc, '-p', WORK]).then(
    () => '',
    (error: { stdout: string; stderr: string }) => error.stdout + error.stderr
  )
}

afterAll(() => rmSync(WORK, { recursive: true, force: true }))

describe('code', () => {
  test('there are blocks of both kinds, so that the tests here test something', () => {
    expect(CODE.filter(({ example }) => example).length).toBeGreaterThan(3)
    expect(CODE.filter(({ example }) => !example).length).toBeGreaterThan(3)
  })

  test.each(BLOCKS.filter(({ example }) => example !== undefined))('$where shows $example as it is', (block) => {
    expect(block.code).toBe(shown(block.example as string))
  })

  test('every other block of the documents compiles, and so do the examples', async () => {
    expect(
      await compile(
        CODE.filter(({ example }) => example === undefined),
        AMBIENT
      )
    ).toBe('')
  }, 120_000)

  test('each page of docs begins with something to paste, which compiles on its own', async () => {
    const pages = WRITTEN_BY_HAND.filter((path) => dirname(path) === 'docs' && !TO_BE_LOOKED_UP.includes(path))
    const first = pages.map((path) => BLOCKS.find(({ where }) => where.startsWith(`${path}:`)))
    expect(pages.filter((_, i) => first[i] === undefined)).toEqual([])
    const code = CODE.filter(
      (block) => first.includes(block) && (block.example === undefined || block.example.includes('#'))
    )
    expect(code.length).toBeGreaterThan(3)
    expect(await compile(code, 'export {}')).toBe('')
  }, 120_000)

  test('the mark of an example stands right before a block', () => {
    const marks = WRITTEN_BY_HAND.flatMap((path) => [...read(path).matchAll(/^<!-- examples\/\S+ -->$/gm)])
    expect(BLOCKS.filter(({ example }) => example !== undefined)).toHaveLength(marks.length)
  })
})

/** The anchor that GitHub gives to a heading; `anchorsOf` numbers repeated ones, as GitHub does. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

const withoutCode = (text: string): string => text.replace(/^( *)```[\s\S]*?^\1```$/gm, '')

function anchorsOf(path: string): string[] {
  const seen = new Map<string, number>()
  return [...withoutCode(read(path)).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => {
    const name = anchor(heading)
    const times = seen.get(name) ?? 0
    seen.set(name, times + 1)
    return times === 0 ? name : `${name}-${times}`
  })
}

describe('YAML', () => {
  const YAML = BLOCKS.filter(({ language }) => /^ya?ml$/.test(language))

  test('there is some', () => expect(YAML.length).toBeGreaterThan(2))

  test.each(YAML)('$where parses', ({ code }) => {
    for (const document of parseAllDocuments(code)) expect(document.errors).toEqual([])
  })

  test('the probes of docs/kubernetes.md ask the port and the paths of the server', () => {
    const [deployment] = parseAllDocuments(read('examples/kubernetes.yaml')).map((document) => document.toJS())
    const { startupProbe, readinessProbe, livenessProbe } = deployment.spec.template.spec.containers[0]
    const server = read('examples/kubernetes.mjs')
    for (const { httpGet } of [startupProbe, readinessProbe, livenessProbe])
      expect(server).toContain(`PROBE_PORT = '${httpGet.port}'`)
    for (const { httpGet } of [startupProbe, readinessProbe]) expect(server).toContain(`'${httpGet.path}'`)
  })
})

test('the line before each whole file names it, and its section or the head of the page says what to install', () => {
  const faults: string[] = []
  for (const path of WRITTEN_BY_HAND.filter((one) => !one.startsWith('skills/'))) {
    const text = read(path)
    const head = text.split('\n## ', 1)[0] ?? ''
    for (const file of text.matchAll(/((?:.*\n){2})<!-- (examples\/[^\s#]+) -->\n/g)) {
      const [, before = '', example = ''] = file
      const section = text
        .slice(0, file.index + before.length)
        .split('\n## ')
        .at(-1)
      if (!/`[\w./-]+\.(?:ts|js|mjs|yaml)`/.test(before)) faults.push(`${path}: no name before ${example}`)
      if (!/(?:npm install|bun add|deno add) /.test(`${head}${section}`) && !example.endsWith('.yaml'))
        faults.push(`${path}: nothing to install before ${example}`)
    }
  }
  expect(faults).toEqual([])
})

describe.each(FRAMEWORKS)('%s stands alone', (path) => {
  const text = read(path)

  test('it has an install line, and says how to try it', () => {
    expect(text).toMatch(/npm install oauth-resource-server/)
    expect(text).toMatch(/^## Try it$/m)
    expect(text).toMatch(/npx oauth-resource-server issuer|compose\.yaml/)
  })

  test('its examples are whole files', () => {
    const examples = blocksOf(path).flatMap(({ example }) => example ?? [])
    expect(examples.length).toBeGreaterThan(0)
    expect(examples.filter((example) => example.includes('#'))).toEqual([])
  })
})

/** Questions of newcomers, as words that a row of the index has, and the page and heading with the code. */
const QUESTIONS: readonly (readonly [string, string])[] = [
  ['Auth0 permissions in Fastify', 'roles.md#auth0-permissions'],
  ['require roles', 'roles.md#keycloak-roles'],
  ['require roles', 'roles.md#roles-and-permissions'],
  ['require roles', 'roles.md#my-own-roles-claim'],
  ['Entra ID have version 1 or 2', 'profiles.md#versions-1-and-2'],
  ['two audiences', 'issuers.md#two-audiences'],
  ['certificates reach my API through nginx', 'sender-constrained.md#nginx'],
  ['answers 401: why', 'troubleshooting.md#why-is-it-401'],
  ['probes does Kubernetes need', 'kubernetes.md#readiness-and-liveness'],
  ['AWS Lambda', 'lambda.md#aws-lambda'],
  ['logout', 'revocation.md#logout-the-provider-tells'],
  ['tenants', 'issuers.md#several-issuers-and-dynamic-tenants'],
  ['another package today', 'migration.md#express-jwt-and-jwks-rsa']
]

describe('docs/README.md leads to code for the questions of newcomers', () => {
  test.each(QUESTIONS)('%s: %s', (question, link) => {
    const row = read('docs/README.md')
      .split('\n')
      .find((line) => line.startsWith('|') && line.split('|')[1]?.includes(question))
    expect(row, 'a question of the index').toContain(`](${link})`)
    const [file = '', fragment] = link.split('#')
    const parts = read(`docs/${file}`).split(/^(?=#{1,6} )/m)
    const under = parts.find((part) => anchor(/^#+ (.+)/.exec(part)?.[1] ?? '') === fragment)
    expect(under, 'the text under that heading').toMatch(/^ *```(?:ts|js|diff|nginx|yaml|sh)\n/m)
  })
})

describe('links', () => {
  test.each(DOCUMENTS.filter((path) => path.startsWith('docs/')))(
    '%s has each heading of the second level once',
    (path) => {
      const headings = [...withoutCode(read(path)).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
      expect(headings.filter((heading, i) => headings.indexOf(heading) !== i)).toEqual([])
    }
  )

  test('every folder with documents is looked at', () => {
    expect(new Set(DOCUMENTS.map((path) => dirname(path)))).toEqual(
      new Set([
        '.',
        'adapters',
        'bench',
        'docs',
        'examples',
        'examples/authorization-server',
        'examples/playground',
        'skills/oauth-resource-server',
        'test/vectors'
      ])
    )
  })

  test.each(DOCUMENTS.filter((path) => path !== PART))('%s links to files and headings that exist', (path) => {
    const broken = [...withoutCode(read(path)).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^(https?|mailto):/.test(link))
      .filter((link) => {
        const [file = '', fragment] = link.split('#')
        const target = file === '' ? path : join(dirname(path), file)
        if (!existsSync(join(ROOT, target))) return true
        return fragment !== undefined && !anchorsOf(target).includes(fragment)
      })
    expect(broken).toEqual([])
  })
})

/** The names of the members of an interface of src, and of those that it extends. */
function membersOf(name: string): string[] {
  const declaration = new RegExp(
    `^export interface ${name}\\b(?:[^{]*\\sextends (\\w+Options))?[^{]*\\{$([\\s\\S]*?)^\\}$`,
    'm'
  )
  const found = SOURCES.map((source) => declaration.exec(source)).find((one) => one !== null)
  if (!found) throw new Error(`src has no interface ${name}`)
  const [, parent, body = ''] = found
  const own = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, member = '']) => member)
  return parent === undefined ? own : [...own, ...membersOf(parent)]
}

/** The first cells of the table under a heading of docs/options.md. */
function rowsUnder(heading: string): string[] {
  const section = read('docs/options.md')
    .split(`\n## ${heading}\n`)[1]
    ?.split(/\n#{1,6} /)[0]
  if (section === undefined) throw new Error(`docs/options.md has no section ${heading}`)
  return [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name)
}

describe('the tables of docs/options.md name every option', () => {
  test.each([
    ['ResourceServerOptions', 'resourceServer(options)'],
    ['IssuerOptions', 'An issuer'],
    ['IntrospectionOptions', 'introspection'],
    ['HttpOptions', 'http'],
    ['DpopOptions', 'dpop'],
    ['ClientCertificateOptions', 'clientCertificate'],
    ['DecryptionKey', 'decryptionKeys'],
    ['RevocationOptions', 'The option revocation'],
    ['SharedOptions', 'shared']
  ])('%s', (type, heading) => {
    const members = membersOf(type)
    expect(members.length).toBeGreaterThan(1)
    expect(rowsUnder(heading).toSorted()).toEqual(members.toSorted())
  })
})

describe('docs/troubleshooting.md', () => {
  const dependencies: Readonly<Record<Dependency, true>> = {
    issuer: true,
    metadata: true,
    jwks: true,
    introspection: true,
    status_list: true,
    revocations: true,
    replay: true,
    decryption: true
  }
  const errors: ResourceServerError[] = [
    new CredentialsMissing(),
    ...Object.keys(REQUEST_REASONS).map((reason) => new InvalidRequest(reason as RequestReason)),
    ...Object.keys(TOKEN_REASONS).map((reason) => new InvalidToken(reason as TokenReason)),
    ...Object.keys(PROOF_REASONS).map((reason) => new InvalidProof(reason as ProofReason)),
    new ProofNonceRequired('n'),
    new InsufficientAuthentication({ acr: ['urn:example:mfa'] }),
    new InsufficientAuthentication({ maxAge: 300 }),
    new InsufficientScope(['orders:read']),
    new InsufficientRole(),
    new InsufficientAuthorizationDetails(),
    new Forbidden(),
    ...Object.keys(LIMIT_REASONS).map((reason) => new TooManyRequests(reason as LimitReason)),
    ...Object.keys(dependencies).map((name) => new Unavailable(name as Dependency, '')),
    new Misconfigured('')
  ]

  /** The answer as it goes out, and the hint where it is always the same. */
  function facts(reason: string): string {
    const these = errors.filter((error) => error.reason === reason)
    const answers = these.map((error) => {
      const { status, headers, code, expose } = error
      const { 'WWW-Authenticate': challenge, 'Cache-Control': _always, ...others } = headers
      const fields =
        code === undefined ? 'a challenge without `error`' : challenge && `\`${[challenge].flat().join(', ')}\``
      const body = code === undefined ? 'no body' : `\`${JSON.stringify(error.toJSON())}\``
      return [
        status,
        fields ?? 'no challenge',
        ...Object.keys(others).map((name) => `\`${name}\``),
        expose && code !== undefined && challenge ? [] : body
      ]
        .flat()
        .join(', ')
    })
    const [first] = these as [ResourceServerError]
    const hint = first.status < 500 ? `- **In the log**: ${first.hint}\n` : ''
    return `- **On the wire**: ${answers.join('; or ')}.\n${hint}`
  }

  const document = read('docs/troubleshooting.md')
  const sections = document.split(/^(?=#{2,3} )/m)
  const reasonOf = (section: string): string | undefined => /^### `(\w+)`\n/.exec(section)?.[1]

  test('says of every reason what goes out and what the log has, as it is: `npx vitest run test/readme.test.ts -u`', async () => {
    const written = sections.map((section) => {
      const reason = reasonOf(section)
      if (reason === undefined) return section
      const prose = section.slice(section.indexOf('- **Means**'))
      expect(prose, `what ${reason} means, and what to change`).toMatch(/^- \*\*Means\*\*: [\s\S]+\n- \*\*Change\*\*: /)
      return `### \`${reason}\`\n\n${facts(reason)}${prose}`
    })
    await expect(written.join('')).toMatchFileSnapshot(join(ROOT, 'docs/troubleshooting.md'))
  })

  test('has an entry for every reason, and for no other', () => {
    const headings = sections.map(reasonOf).filter((reason) => reason !== undefined)
    expect(headings.sort()).toEqual([...new Set(errors.map(({ reason }) => reason))].sort())
  })

  test('is where the page of the site comes from that each error names', () => {
    const { homepage } = JSON.parse(read('package.json')) as { homepage: string }
    const pages = reasonPages(document).map(({ reason }) => `${homepage}reasons/${reason}`)
    for (const error of errors) {
      expect(pages).toContain(error.documentation)
      expect(error.toJSON() ?? {}).not.toHaveProperty('documentation')
    }
    expect(new Set(pages).size).toBe(new Set(errors.map(({ documentation }) => documentation)).size)
  })
})
