/** What a resource server says without a logger: how often, where, and that nothing of a token is in it. */
import { execFile } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { logTo } from '../../integrations/log.js'
import {
  Forbidden,
  type LogLine,
  type Requirement,
  type ResourceRequest,
  type ResourceServer,
  ResourceServerError,
  resourceServer,
  scope
} from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { endQuiet } from '../support/quiet.js'
import { silenceWarnings, type Warned, warningsOf } from '../support/warnings.js'

silenceWarnings()
beforeAll(endQuiet)

const RESOURCE = 'https://api.example.com'

describe('a server without a logger, in its own process', () => {
  interface Output {
    readonly out: readonly string[]
    readonly err: readonly string[]
    readonly text: string
    readonly statuses: readonly number[]
    readonly types: readonly (string | null)[]
  }

  const run = promisify(execFile)
  const SCRIPT = join(import.meta.dirname, '../support/voice-process.mjs')

  async function outputOf(framework: string, ...flags: string[]): Promise<Output> {
    const { stdout, stderr } = await run(process.execPath, [SCRIPT, framework, ...flags])
    const lines = (text: string): string[] =>
      text.split('\n').filter((line) => line !== '' && !line.startsWith('(Use `node --trace-warnings'))
    const out = lines(stdout)
    return { err: lines(stderr), text: stdout + stderr, ...JSON.parse(out.pop() as string), out }
  }

  /** The reasons that these lines name, in order. */
  const reasonsOf = (lines: readonly string[]): string[] =>
    lines.flatMap((line) => /oauth-resource-server: \d+ (\w+)/.exec(line)?.[1] ?? [])

  const REFUSALS = [
    'inactive',
    'issuer',
    'audience',
    'type',
    'algorithm',
    'critical_header',
    'expired',
    'not_yet_valid',
    'unknown_key',
    'claim',
    'signature',
    'insufficient_scope',
    'dpop_downgrade',
    'proof_type'
  ]
  const FAILURES = ['misconfigured', 'metadata_unavailable']
  const ALL = [...REFUSALS, ...FAILURES]
  /** `SECRET` at the beginning of a segment in base64url. */
  const ENCODED = Buffer.from('SECRET').toString('base64url').slice(0, 8)

  function requireNoSecret({ text }: Output): void {
    expect(text).not.toContain('SECRET')
    expect(text).not.toContain(ENCODED)
    expect(text).not.toMatch(/eyJ[\w-]+\.eyJ/)
  }

  const FRAMEWORKS = ['express', 'express4', 'koa', 'koa2', 'fastify', 'hono', 'node', 'fetch']

  test.each(FRAMEWORKS)(
    '%s: each reason is one process warning, a missing token none, and nothing in it comes from a token',
    async (framework) => {
      const output = await outputOf(framework)
      expect(output.statuses).toContain(403)
      expect(output.statuses.slice(-4)).toEqual([500, 500, 503, 503])
      expect(reasonsOf(output.err)).toEqual(ALL)
      expect(output.err).toHaveLength(ALL.length)
      expect(output.out).toEqual([])
      expect(output.err[2]).toMatch(
        /^\(node:\d+\) \[OAUTH_RS_REFUSED\] Warning: oauth-resource-server: 401 audience \(GET/
      )
      expect(output.err[2]).toContain(`expected: ["${RESOURCE}"]`)
      expect(output.err.at(-2)).toContain('[OAUTH_RS_MISCONFIGURED]')
      expect(output.err.at(-1)).toMatch(/\[OAUTH_RS_UNAVAILABLE\].*http:\/\/127\.0\.0\.1:9.*cause: "ECONNREFUSED"/)
      requireNoSecret(output)
      // The only empty answer is the 401 to a missing token (RFC 6750 §3.1).
      expect(output.types).toEqual([null])
    }
  )

  test('Fastify with a logger: the lines are in request.log, with the request’s identifier, and no warning is emitted', async () => {
    const output = await outputOf('fastify with a logger')
    expect(output.err).toEqual([])
    const lines = output.out.map((line) => JSON.parse(line)).filter(({ reason }) => reason !== undefined)
    expect(lines.map(({ reason }) => reason)).toEqual(ALL)
    expect(lines[2]).toMatchObject({
      level: 30,
      reqId: 'req-4',
      requestId: 'req-4',
      expected: [RESOURCE],
      method: 'GET',
      route: '/orders/:id',
      msg: expect.stringContaining('401 audience')
    })
    expect(lines.slice(-2).map(({ level }) => level)).toEqual([50, 40])
    requireNoSecret(output)
  })

  test.each(['koa', 'koa2'])(
    '%s: a listener of app.on("error") gets each 5xx once and, with errorHandler, no 4xx; no warning repeats it',
    async (framework) => {
      const output = await outputOf(framework, 'listener')
      expect(output.out).toEqual([
        "app.on('error'): 500 misconfigured",
        "app.on('error'): 500 misconfigured",
        "app.on('error'): 503 metadata_unavailable",
        "app.on('error'): 503 metadata_unavailable"
      ])
      expect(reasonsOf(output.err)).toEqual(REFUSALS)
      const withoutHandler = await outputOf(framework, 'listener', 'no errorHandler')
      expect(withoutHandler.out.filter((line) => / 50\d /.test(line))).toEqual(output.out)
      expect(reasonsOf(withoutHandler.err)).toEqual(REFUSALS)
      for (const one of [output, withoutHandler]) requireNoSecret(one)
    }
  )

  test.each(['koa', 'koa2'])(
    '%s: without a listener or errorHandler the hint is said once beside Koa’s stack',
    async (framework) => {
      const output = await outputOf(framework, 'no errorHandler')
      expect(reasonsOf(output.err)).toEqual(ALL)
      requireNoSecret(output)
    }
  )

  test.each(['express', 'fastify with a logger'])('%s: log: false silences it', async (framework) => {
    const { text } = await outputOf(framework, 'log: false')
    // The second server of the program has no such option.
    expect(reasonsOf(text.split('\n'))).toEqual(['metadata_unavailable'])
  })

  test('logTo(console) writes one line for each refusal instead, and the warnings return at its end', async () => {
    const output = await outputOf('express', 'logTo')
    const told = [...output.out, ...output.err]
    expect(told.every((line) => line.includes('oauth-resource-server: '))).toBe(true)
    // Express answers 22 requests, each refused; the last one came after the end.
    expect(told).toHaveLength(output.statuses.length)
    expect(output.err.filter((line) => line.startsWith('(node:'))).toEqual([
      expect.stringContaining('metadata_unavailable')
    ])
    requireNoSecret(output)
  })

  test('without process.emitWarning the lines go to console.warn', async () => {
    const { err } = await outputOf('hono', 'no emitWarning')
    expect(reasonsOf(err)).toEqual(ALL)
    expect(err.every((line) => line.startsWith('[OAUTH_RS_'))).toBe(true)
  })
})

describe('how often', () => {
  let as: TestIssuer
  /** The clock of the resource servers, in seconds since the epoch. */
  let time: number
  const now = (): number => time
  const exp = 4_000_000_000
  const ended: (() => unknown)[] = []
  beforeEach(async () => {
    as = await createTestIssuer()
    time = Math.floor(as.now())
  })
  afterEach(() => {
    for (const end of ended.splice(0)) end()
  })

  const loud = (resource = RESOURCE): ResourceServer =>
    resourceServer({ ...as.options({ resource }), now, log: undefined } as never)

  function request(token: string | undefined, more: Partial<ResourceRequest> = {}): ResourceRequest {
    return {
      method: 'GET',
      url: '/',
      fieldLines: (name) => (name === 'authorization' && token !== undefined ? [`Bearer ${token}`] : []),
      ...more
    }
  }

  async function ask(
    api: ResourceServer,
    token: string | undefined,
    { times = 1, check, more }: { times?: number; check?: Requirement; more?: Partial<ResourceRequest> } = {}
  ): Promise<void> {
    const protection = api.protect(...(check ? [check] : []))
    for (let i = 0; i < times; i++) {
      await Promise.resolve()
        .then(() => protection.authorize(request(token, more)))
        .catch(() => undefined)
    }
  }

  const reasons = (warned: readonly Warned[]): string[] =>
    warned.map(({ message }) => /^oauth-resource-server: \d+ (\w+)/.exec(message)?.[1] ?? message)

  test('a refusal is said once an hour and reason, then with the number since', async () => {
    const api = loud()
    const first = await warningsOf(() => ask(api, as.wrongAudience({ exp }), { times: 42 }))
    expect(reasons(first)).toEqual(['audience'])
    expect(first[0]?.message).not.toContain('more')
    time += 3599
    expect(await warningsOf(() => ask(api, as.expired()))).toHaveLength(1)
    expect(await warningsOf(() => ask(api, as.wrongAudience({ exp })))).toEqual([])
    time += 1
    const later = await warningsOf(() => ask(api, as.wrongAudience({ exp }), { times: 2 }))
    expect(later.map(({ message }) => message)).toEqual([
      expect.stringContaining('401 audience, and 42 more since the last line about it (GET')
    ])
  })

  test('a missing token is never said, a malformed field and a 429 are', async () => {
    const api = loud()
    expect(await warningsOf(() => ask(api, undefined, { times: 3 }))).toEqual([])
    expect(reasons(await warningsOf(() => ask(api, '')))).toEqual(['malformed_authorization'])
    const unknownKeys = async (): Promise<void> => {
      for (let i = 0; i < 9; i++) await ask(api, as.unknownKey({ exp }))
    }
    const limited = await warningsOf(unknownKeys)
    expect(reasons(limited)).toEqual(['unknown_key', 'key_unknown_yet'])
    expect(limited[1]).toMatchObject({ code: 'OAUTH_RS_REFUSED', message: expect.stringContaining(' 429 ') })
  })

  test('a mistake of mounting is said once, when a request without a token shows it; at most 8 texts', async () => {
    const api = loud()
    const mistake = 'Mount it elsewhere.\n'
    expect(await warningsOf(() => ask(api, as.expired(), { more: { mistake } }))).toHaveLength(1)
    const said = await warningsOf(() => ask(api, undefined, { times: 3, more: { mistake } }))
    expect(said).toEqual([
      { code: 'OAUTH_RS_MISCONFIGURED', message: `oauth-resource-server: Mount it elsewhere.  (${RESOURCE})` }
    ])
    const many = await warningsOf(async () => {
      for (let i = 0; i < 20; i++) await ask(api, undefined, { more: { mistake: `${i}` } })
    })
    expect(many).toHaveLength(7)
    expect(await warningsOf(() => ask(loud(), undefined, { more: { mistake: 1 as never } }))).toEqual([])
  })

  test('a mistake of mounting goes to logTo() as a warning, and with `log: false` nowhere', async () => {
    const lines: unknown[] = []
    const write = (...line: unknown[]): void => void lines.push(line)
    ended.push(logTo({ debug: () => undefined, info: write, warn: write, error: write }))
    const more = { mistake: 'Mount it elsewhere.' }
    expect(await warningsOf(() => ask(loud(), undefined, { more }))).toEqual([])
    expect(lines).toEqual([[{ resource: RESOURCE, issuer: '' }, 'Mount it elsewhere.']])
    await ask(resourceServer(as.options({ resource: RESOURCE })), undefined, { more })
    expect(lines).toHaveLength(1)
  })

  /** An error of the application with its own reason. */
  class Own extends ResourceServerError {
    constructor(reason: string) {
      super({ status: 403, reason, description: 'x', hint: 'x' })
    }
    protected ownHeaders(): Record<string, string> {
      return {}
    }
  }
  const throwing =
    (reason: string): Requirement =>
    () => {
      throw new Own(reason)
    }

  test('refusals have at most 20 lines an hour', async () => {
    const api = loud()
    const token = as.token({ exp })
    const flood = async (): Promise<void> => {
      for (let i = 0; i < 300; i++) await ask(api, token, { check: throwing(`own_${i}`) })
    }
    expect(await warningsOf(flood)).toHaveLength(20)
    expect(await warningsOf(() => ask(api, as.wrongAudience({ exp })))).toEqual([])
  })

  test('a failure is said once a minute, issuer and reason', async () => {
    const ports = [9, 19]
    const api = resourceServer({
      resource: RESOURCE,
      issuers: ports.map((port) => `http://127.0.0.1:${port}`),
      now
    })
    const both = async (): Promise<void> => {
      for (const port of [...ports, ...ports]) await ask(api, as.token({ exp, iss: `http://127.0.0.1:${port}` }))
    }
    const first = await warningsOf(both)
    expect(first.map(({ code }) => code)).toEqual(['OAUTH_RS_UNAVAILABLE', 'OAUTH_RS_UNAVAILABLE'])
    for (const [i, port] of ports.entries()) expect(first[i]?.message).toContain(`http://127.0.0.1:${port} `)
    time += 59
    expect(await warningsOf(both)).toEqual([])
    time += 1
    expect(await warningsOf(both)).toHaveLength(2)
  })

  test('each configured issuer has its line, also where more than 20 fail', async () => {
    const issuers = Array.from({ length: 25 }, (_, i) => `https://as-${i}.example`)
    const { http } = as.options({ resource: RESOURCE })
    const api = resourceServer({ resource: RESOURCE, issuers, now, ...(http && { http }) })
    const warned = await warningsOf(async () => {
      for (const iss of issuers) await ask(api, as.token({ exp, iss }))
    })
    expect(warned).toHaveLength(25)
  })

  test('issuers that tokens make up have at most 20 lines a minute, and take none from an issuer that has served', async () => {
    const { issuers: _, ...options } = as.options({ resource: RESOURCE })
    const api = resourceServer({ ...options, now, log: undefined, issuers: (iss: string) => iss } as never)
    await ask(api, as.token({ exp }))
    const madeUp = async (): Promise<void> => {
      for (let i = 0; i < 60; i++) await ask(api, as.token({ exp, iss: `https://made-up-${i}.example` }))
    }
    expect(await warningsOf(madeUp)).toHaveLength(20)
    as.fail('jwks', 503)
    expect(reasons(await warningsOf(() => ask(api, as.unknownKey({ exp }))))).toEqual(['jwks_unavailable'])
  })

  test('a resolver that fails is one line, whatever names the tokens have', async () => {
    const { issuers: _, ...options } = as.options({ resource: RESOURCE })
    const failing = async (): Promise<never> => Promise.reject(new Error('SECRET'))
    const api = resourceServer({ ...options, now, log: undefined, issuers: failing } as never)
    const warned = await warningsOf(async () => {
      for (let i = 0; i < 30; i++) await ask(api, as.token({ exp, iss: `https://made-up-${i}.example` }))
    })
    expect(reasons(warned)).toEqual(['issuer_unavailable'])
    expect(warned[0]?.message).not.toContain('SECRET')
    expect(warned[0]?.message).not.toContain('made-up')
  })

  test('a listener on the channel does not silence it; logTo() does, for the API that it names', async () => {
    const [one, other] = [loud(), loud('https://other.example.com')]
    const listener = (): void => undefined
    const channel = 'oauth-resource-server:refusal'
    subscribe(channel, listener)
    ended.push(() => unsubscribe(channel, listener))
    const both = async (): Promise<void> => {
      for (const api of [one, other]) await ask(api, as.token({ exp }), { check: scope('x') })
    }
    expect(await warningsOf(both)).toHaveLength(2)
    time += 3600
    const silent = { debug: listener, info: listener, warn: listener, error: listener }
    const end = logTo(silent, { resource: RESOURCE })
    ended.push(end)
    const warned = await warningsOf(both)
    expect(warned.map(({ message }) => message)).toEqual([expect.stringContaining('https://other.example.com')])
    time += 3600
    const endAll = logTo(silent)
    ended.push(endAll)
    expect(await warningsOf(both)).toEqual([])
    end()
    endAll()
    expect(await warningsOf(both)).toHaveLength(2)
  })

  test('the host’s own log gets the line; a warning follows if that log is off or throws', async () => {
    const api = loud()
    const lines: LogLine[] = []
    const refused = async (reason: string, tell: (line: LogLine) => boolean): Promise<void> =>
      ask(api, as.token({ exp }), { check: throwing(reason), more: { route: '/x/:id', requestId: 'id-1', tell } })
    const tells = (answer: () => boolean) => (line: LogLine) => {
      lines.push(line)
      return answer()
    }
    expect(
      await warningsOf(() =>
        refused(
          'a',
          tells(() => true)
        )
      )
    ).toEqual([])
    expect(lines).toEqual([
      {
        level: 'info',
        fields: expect.objectContaining({ resource: RESOURCE, reason: 'a', route: '/x/:id', requestId: 'id-1' }),
        message: expect.stringContaining('403 a (GET /x/:id')
      }
    ])
    expect(
      await warningsOf(() =>
        refused(
          'b',
          tells(() => false)
        )
      )
    ).toHaveLength(1)
    const boom = (): boolean => {
      throw new Error('the disk is full')
    }
    expect(await warningsOf(() => refused('c', tells(boom)))).toHaveLength(1)
  })

  test('a line is one line, without characters that a terminal interprets', async () => {
    const api = loud()
    const check: Requirement = () => {
      throw new Forbidden('No', { expected: { text: '\u202e\u009b2J\n' } })
    }
    const more = { method: 'GET\n\u001b[2J', route: `/${'x'.repeat(999)}` }
    const [warned] = await warningsOf(() => ask(api, as.token({ exp }), { check, more }))
    expect(warned?.message).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
    expect(warned?.message).toContain(`/${'x'.repeat(255)},`)
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    time += 3600
    const again: Requirement = () => {
      throw new Forbidden('No', { expected: circular })
    }
    expect(await warningsOf(() => ask(api, as.token({ exp }), { check: again }))).toHaveLength(1)
  })

  test('a refusal whose expected value has no text keeps its answer, and is said', async () => {
    const api = loud()
    const expected: unknown = Object.assign(Object.create(null), { big: 1n })
    const check: Requirement = () => {
      throw new Forbidden('No', { expected })
    }
    const refused = (): Promise<unknown> =>
      Promise.resolve().then(() => api.protect(check).authorize(request(as.token({ exp }))))
    expect(await warningsOf(() => expect(refused()).rejects.toMatchObject({ status: 403 }))).toHaveLength(1)
  })

  test('a refusal keeps its answer if process.emitWarning throws', async () => {
    const api = loud()
    const before = Object.getOwnPropertyDescriptor(process, 'emitWarning') as PropertyDescriptor
    process.emitWarning = () => {
      throw new Error('the warnings are full')
    }
    ended.push(() => Object.defineProperty(process, 'emitWarning', before))
    const refused = Promise.resolve().then(() => api.protect().authorize(request(as.wrongAudience({ exp }))))
    await expect(refused).rejects.toMatchObject({ status: 401, reason: 'audience' })
  })

  test('a clock that returns NaN causes no flood', async () => {
    const api = resourceServer({
      ...as.options({ resource: RESOURCE }),
      now: () => Number.NaN,
      log: undefined
    } as never)
    expect(await warningsOf(() => ask(api, as.token({ exp }), { times: 5 }))).toEqual([])
  })
})

describe('the option `log`', () => {
  test.each([true, 'false', {}, null])('%j is refused with the way to a logger', (log) => {
    expect(() =>
      resourceServer({ resource: RESOURCE, issuers: ['https://as.example.com'], log: log as false })
    ).toThrow(/- `log` is .*: write false .*logTo\(logger\)/)
  })
})

describe('ready()', () => {
  let as: TestIssuer
  beforeAll(async () => {
    as = await createTestIssuer()
  })
  afterAll(async () => as.close())

  test.each([
    [503, 'Unavailable', { issuers: ['http://127.0.0.1:9'] }],
    [
      500,
      'Misconfigured',
      { issuers: [{ issuer: 'http://127.0.0.1:9', jwksAuth: () => 1 as never, jwksUri: 'http://127.0.0.1:9/jwks' }] }
    ]
  ])('rejects with the hint as its message: %i', async (status, name, options) => {
    const api = resourceServer({ resource: RESOURCE, log: false, ...options })
    const error = await api.ready().catch((failure: unknown) => failure)
    expect(error).toMatchObject({ status, name })
    const { message, hint, stack } = error as ResourceServerError
    expect(message).toBe(hint)
    expect(stack).toContain(hint)
    expect(message).toMatch(/127\.0\.0\.1:9/)
    // A request for the same failure keeps the fixed words.
    const token = as.token({ iss: 'http://127.0.0.1:9' })
    const refused = await Promise.resolve()
      .then(() => api.authorize({ method: 'GET', url: '/', fieldLines: () => [`Bearer ${token}`] }))
      .catch((failure: unknown) => failure)
    expect(refused).toMatchObject({ status, description: (error as ResourceServerError).description })
    expect((refused as Error).message).toBe((error as ResourceServerError).description)
  })
})
