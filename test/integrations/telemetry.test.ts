/** Metrics and traces in the OpenTelemetry SDK, logs in pino: what is told, by which names, and nothing of a token. */
import { Console } from 'node:console'
import { createHash } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { PassThrough } from 'node:stream'
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Logger, type LogOptions, logTo } from '../../integrations/log.js'
import { instrument, type Meter } from '../../integrations/otel.js'
import {
  type AccessEvent,
  type ExchangeEvent,
  Forbidden,
  fresh,
  optional,
  type Requirement,
  type ResourceServer,
  resourceServer,
  scope,
  TooManyRequests
} from '../../src/index.js'
import { createTestIssuer, type TestIssuer } from '../../test-kit/issuer.js'
import { startIssuer } from '../support/issuer.js'

const RESOURCE = 'https://api.example.com'

let as: TestIssuer
let api: ResourceServer
const ended: (() => unknown)[] = []
beforeEach(async () => {
  as = await createTestIssuer()
  api = resourceServer(as.options({ resource: RESOURCE }))
})
afterEach(async () => {
  for (const end of ended.splice(0)) await end()
})

async function ask(token: string | undefined, ...requirements: Requirement[]): Promise<void> {
  const request = {
    method: 'GET',
    url: '/',
    fieldLines: (name: string) => (name === 'authorization' && token !== undefined ? [`Bearer ${token}`] : [])
  }
  await Promise.resolve()
    .then(() => api.authorize(request, ...requirements))
    .catch(() => undefined)
}

/** Something of everything: let in, refused, an outage, a setting that is wrong. */
async function everything(): Promise<string[]> {
  const tokens = [
    as.token({ scope: 'read', sub: 'alice-secret' }),
    as.expired({ sub: 'bob-secret' }),
    as.opaque({ sub: 'carol-secret' })
  ]
  const [good, old, opaque] = tokens as [string, string, string]
  await ask(good, scope('read'))
  await ask(good, scope('read'))
  await ask(good, scope('write'))
  await ask(old)
  await ask(undefined)
  await ask(undefined, optional)
  await ask(opaque, fresh())
  as.fail('introspection', 503)
  await ask(as.opaque())
  as.fail('introspection', 'garbage')
  await ask(as.opaque())
  return [...tokens, 'alice-secret', 'bob-secret', 'carol-secret']
}

describe('the channels', () => {
  function listen<Event>(name: string): Event[] {
    const events: Event[] = []
    const listener = (event: unknown): void => void events.push(event as Event)
    subscribe(name, listener)
    ended.push(() => unsubscribe(name, listener))
    return events
  }

  test('access: names the client and the server, and nothing about the user', async () => {
    const events = listen<AccessEvent>('oauth-resource-server:access')
    await everything()
    const event = { resource: RESOURCE, issuer: 'https://as.test', scheme: 'Bearer' }
    expect(events).toEqual([event, event, event])
    const access = await api.protect().authorize({
      method: 'GET',
      url: '/',
      fieldLines: (name) => (name === 'authorization' ? [`Bearer ${as.token()}`] : [])
    })
    expect(events).toHaveLength(4)
    // Nor does an inner protect(), which finds what the outer one left.
    const inner = api.protect(fresh(), () => undefined)
    const request = { method: 'GET', url: '/', fieldLines: () => [] }
    as.recover()
    const token = as.opaque()
    const opaque = await api.authorize({
      ...request,
      fieldLines: (name) => (name === 'authorization' ? [`Bearer ${token}`] : [])
    })
    expect(events).toHaveLength(5)
    await inner.authorize(request, opaque)
    await api.protect().authorize(request, access)
    expect(events).toHaveLength(5)
    // Checks inside a handler let nobody in who was not in already.
    await api.enforce(access as never, request)
    expect(events).toHaveLength(5)
  })

  test('exchange: reports each attempt and its outcome', async () => {
    const events = listen<ExchangeEvent>('oauth-resource-server:exchange')
    await everything()
    const seen = events.map(({ dependency, method, host, status, failure }) => [
      method,
      dependency,
      host,
      status,
      failure
    ])
    expect(seen).toEqual([
      ['GET', 'metadata', 'as.test', 200, undefined],
      ['GET', 'jwks', 'as.test', 200, undefined],
      ['POST', 'introspection', 'as.test', 200, undefined],
      ['POST', 'introspection', 'as.test', 200, undefined],
      ['POST', 'introspection', 'as.test', 503, 'answered 503'],
      ['POST', 'introspection', 'as.test', 503, 'answered 503'],
      ['POST', 'introspection', 'as.test', 200, undefined]
    ])
    expect(events.every(({ duration, startedAt }) => duration >= 0 && Math.abs(startedAt - Date.now()) < 60_000)).toBe(
      true
    )
  })
})

describe('instrument()', () => {
  function startMetrics(): {
    meter: ReturnType<MeterProvider['getMeter']>
    read: () => Promise<Record<string, unknown[]>>
  } {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const provider = new MeterProvider({
      readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })]
    })
    ended.push(() => provider.shutdown())
    return {
      meter: provider.getMeter('test'),
      read: async () => {
        await provider.forceFlush()
        const metrics =
          exporter
            .getMetrics()
            .at(-1)
            ?.scopeMetrics.flatMap((one) => one.metrics) ?? []
        return Object.fromEntries(
          metrics.map(({ descriptor, dataPoints }) => [
            descriptor.name,
            dataPoints.map(({ attributes, value }) => ({
              ...attributes,
              value: typeof value === 'number' ? value : (value as { count: number }).count
            }))
          ])
        )
      }
    }
  }

  test('counts decisions by reason, times exchanges, and measures issuers and caches', async () => {
    const { meter, read } = startMetrics()
    ended.push(instrument({ meter, apis: [api] }))
    const secrets = await everything()
    const metrics = await read()
    const of = { 'oauth.resource': RESOURCE }
    expect(metrics['oauth.resource_server.decisions']).toEqual(
      expect.arrayContaining([
        { ...of, 'oauth.issuer': 'https://as.test', outcome: 'granted', value: 3 },
        { ...of, outcome: 'refused', reason: 'insufficient_scope', value: 1 },
        { ...of, outcome: 'refused', reason: 'expired', value: 1 },
        { ...of, outcome: 'refused', reason: 'credentials_missing', value: 1 },
        { ...of, outcome: 'failed', reason: 'introspection_unavailable', value: 1 },
        { ...of, outcome: 'failed', reason: 'misconfigured', value: 1 }
      ])
    )
    expect(metrics['oauth.resource_server.decisions']).toHaveLength(6)
    expect(metrics['oauth.resource_server.exchange.duration']).toEqual(
      expect.arrayContaining([
        {
          ...of,
          dependency: 'jwks',
          'server.address': 'as.test',
          'http.request.method': 'GET',
          'http.response.status_code': 200,
          value: 1
        },
        {
          ...of,
          dependency: 'introspection',
          'server.address': 'as.test',
          'http.request.method': 'POST',
          'http.response.status_code': 503,
          'error.type': 'unusable_answer',
          value: 2
        }
      ])
    )
    expect(metrics['oauth.resource_server.issuer.status']).toEqual([
      { ...of, 'oauth.issuer': 'https://as.test', value: 0 }
    ])
    expect(metrics['oauth.resource_server.cache.entries']).toEqual(
      expect.arrayContaining([{ ...of, cache: 'verified', value: 1 }])
    )
    expect(metrics['oauth.resource_server.cache.bytes']).toEqual(
      expect.arrayContaining([expect.objectContaining({ cache: 'verified' })])
    )
    for (const secret of secrets) expect(JSON.stringify(metrics)).not.toContain(secret)
  })

  test('reports that an issuer serves from memory, and stops when told to', async () => {
    const { meter, read } = startMetrics()
    const stop = instrument({ meter, apis: [api] })
    await ask(as.token())
    as.fail('jwks', 'reset')
    await api.refresh().catch(() => undefined)
    const status = 'oauth.resource_server.issuer.status'
    expect((await read())[status]).toMatchObject([{ value: 1 }])
    stop()
    await ask(as.token())
    expect((await read())['oauth.resource_server.decisions']).toMatchObject([{ outcome: 'granted', value: 1 }])
    // Ended twice is ended.
    stop()
  })

  test('creates a span for each attempt, with its times, in the context of the request', async () => {
    const exporter = new InMemorySpanExporter()
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    ended.push(() => provider.shutdown())
    const tracer = provider.getTracer('test')
    ended.push(instrument({ tracer }))
    const secrets = await everything()
    const spans = exporter.getFinishedSpans()
    expect(spans.map(({ name }) => name)).toEqual([
      'GET metadata',
      'GET jwks',
      ...Array.from({ length: 5 }, () => 'POST introspection')
    ])
    expect(spans.every(({ kind }) => kind === SpanKind.CLIENT)).toBe(true)
    expect(spans.map(({ status }) => status.code).filter((code) => code === SpanStatusCode.ERROR)).toHaveLength(2)
    expect(spans[4]).toMatchObject({
      status: { message: 'answered 503' },
      attributes: { 'http.response.status_code': 503, 'error.type': 'unusable_answer', 'server.address': 'as.test' }
    })
    const told = JSON.stringify(spans.map(({ name, attributes, status }) => ({ name, attributes, status })))
    for (const secret of secrets) expect(told).not.toContain(secret)
    expect(trace.getActiveSpan()).toBeUndefined()
  })

  test('does nothing without a meter and a tracer', () => {
    expect(() => instrument({})()).not.toThrow()
  })
})

describe('listeners that fail', () => {
  const boom = (): never => {
    throw new Error('the disk is full')
  }
  const rejects = async (): Promise<never> => boom()
  const meter = (fails: () => unknown): Meter => ({
    createCounter: () => ({ add: fails as () => void }),
    createHistogram: () => ({ record: fails as () => void }),
    createObservableGauge: () => ({ addCallback: () => undefined, removeCallback: () => undefined })
  })
  const logger = (fails: () => unknown): Logger =>
    ({ debug: fails, info: fails, warn: fails, error: fails }) as unknown as Logger

  test.each([
    ['a logger', 'logTo()', () => logTo(logger(boom))],
    ['a logger that takes its time', 'logTo()', () => logTo(logger(rejects))],
    ['a meter', 'instrument()', () => instrument({ meter: meter(boom) })],
    ['a tracer', 'instrument()', () => instrument({ tracer: { startSpan: boom } })]
  ])('OPS-01: %s stops no request and no process, and causes one warning', async (_title, name, start) => {
    const uncaught = vi.fn()
    const warned = vi.fn()
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(event, uncaught)
      ended.push(() => process.off(event, uncaught))
    }
    process.on('warning', warned)
    ended.push(() => process.off('warning', warned), start())
    await everything()
    await expect.poll(() => warned.mock.calls.length).toBe(1)
    await everything()
    await new Promise(setImmediate)
    expect(uncaught).not.toHaveBeenCalled()
    const words = `oauth-resource-server: a function or object that was passed to ${name} failed. This warning is emitted once. The error: Error: the disk is full`
    expect(warned.mock.calls.map(([{ message }]) => message)).toEqual([expect.stringContaining(words)])
  })

  test('refuses a logger without one of the methods at start', () => {
    const nothing = (): void => undefined
    const all = { debug: nothing, info: nothing, warn: nothing, error: nothing }
    for (const level of Object.keys(all)) {
      expect(() => logTo({ ...all, [level]: undefined } as unknown as Logger)).toThrow(
        new TypeError(`logTo(): the logger lacks the methods ${level}`)
      )
    }
    expect(() => logTo({ info: nothing } as unknown as Logger)).toThrow(
      'the logger lacks the methods debug, warn, error'
    )
    expect(() => logTo(undefined as unknown as Logger)).toThrow(TypeError)
    expect(() => logTo(console)()).not.toThrow()
  })
})

describe('logTo()', () => {
  type Line = Record<string, unknown>

  function log(options?: LogOptions): Line[] {
    const lines: Line[] = []
    const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
    ended.push(logTo(logger, options))
    return lines
  }

  test('logs each event at its level, with reason and hint, and nothing of tokens', async () => {
    const lines = log()
    const secrets = await everything()
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      [30, '403 insufficient_scope'],
      [30, '401 expired'],
      [20, '401 credentials_missing'],
      [40, '503 introspection_unavailable'],
      [50, '500 misconfigured']
    ])
    expect(lines[1]).toMatchObject({
      resource: RESOURCE,
      status: 401,
      reason: 'expired',
      hint: expect.any(String),
      documentation: expect.stringMatching(/\/reasons\/expired$/)
    })
    expect(lines[1]).not.toHaveProperty('received')
    for (const secret of secrets) expect(JSON.stringify(lines)).not.toContain(secret)
  })

  test('shows by default what the server expected, the method, the route and the request’s identifier, and not what came', async () => {
    const lines = log()
    const token = as.wrongAudience()
    const request = {
      method: 'GET',
      url: '/orders/17',
      route: '/orders/:id',
      requestId: 'req-1',
      fieldLines: (name: string) => (name === 'authorization' ? [`Bearer ${token}`] : [])
    }
    await expect((async () => api.authorize(request))()).rejects.toThrow()
    expect(lines).toEqual([
      expect.objectContaining({
        msg: '401 audience',
        expected: [RESOURCE],
        method: 'GET',
        route: '/orders/:id',
        requestId: 'req-1'
      })
    ])
    expect(JSON.stringify(lines)).not.toContain('another-api')
  })

  test('writes one line of text to a console', async () => {
    const { out, err } = { out: new PassThrough(), err: new PassThrough() }
    ended.push(logTo(new Console(out, err), { access: true, evidence: true }))
    await everything()
    const other = await startIssuer()
    ended.push(() => other.close())
    other.jwks.keys.push({ ...other.jwks.keys[0], use: 'Sig' })
    await resourceServer({ resource: RESOURCE, issuers: [other.issuer] }).ready()
    const lines = [out, err].flatMap((stream) => String(stream.read()).split('\n').slice(0, -1))
    // Three grants, five refusals and failures, one warning.
    expect(lines).toHaveLength(9)
    for (const line of lines) expect(line).toMatch(/^oauth-resource-server: /)
    expect(lines.filter((line) => line.includes('403 insufficient_scope'))).toEqual([
      expect.stringMatching(/ expected: \["write"\]\. .*received: \["read"\]/)
    ])
  })

  test('says with evidence when a token expired, in words to a console and as a number to a logger', async () => {
    const { out, err } = { out: new PassThrough(), err: new PassThrough() }
    ended.push(logTo(new Console(out, err), { evidence: true }))
    const lines = log({ evidence: true })
    await ask(as.expired())
    expect(String(out.read())).toMatch(/ received: \d{10}\. time: "expired \d+ (minutes|hours?) ago"\./)
    expect(lines).toEqual([expect.objectContaining({ reason: 'expired', received: expect.any(Number) })])
    for (const end of ended.splice(0)) await end()
    ended.push(logTo(new Console(out, err)))
    await ask(as.expired())
    expect(String(out.read())).not.toContain(' ago')
  })

  test('logs a 429 at the level info', async () => {
    const lines = log()
    await ask(as.token(), () => {
      throw new TooManyRequests('replay_share')
    })
    expect(lines).toEqual([expect.objectContaining({ level: 30, msg: '429 replay_share', status: 429 })])
  })

  describe('with access: true', () => {
    const jtiSha256 = (jti: string): string => createHash('sha256').update(jti).digest('hex')

    test('logs one line per decision: client, method, route and decision, and neither token, sub, jti nor URL', async () => {
      const lines = log({ access: true })
      const token = as.token({ sub: 'alice-secret', jti: 'id-secret', act: { sub: 'agent-7' }, scope: 'read' })
      const request = {
        method: 'POST',
        url: '/orders/17?secret-query',
        route: '/orders/:id',
        fieldLines: (name: string) => (name === 'authorization' ? [`Bearer ${token}`] : [])
      }
      const who = {
        resource: RESOURCE,
        issuer: 'https://as.test',
        scheme: 'Bearer',
        client: 'client-1',
        actor: 'agent-7',
        jtiSha256: jtiSha256('id-secret'),
        method: 'POST',
        route: '/orders/:id'
      }
      await api.authorize(request, scope('read'))
      const refusing = [scope('write'), async () => Promise.reject(new Forbidden()), fresh()]
      as.fail('introspection', 503)
      for (const check of refusing) await expect((async () => api.authorize(request, check))()).rejects.toThrow()
      expect(lines).toEqual([
        {
          time: expect.anything(),
          pid: expect.anything(),
          hostname: expect.anything(),
          level: 30,
          msg: 'granted',
          decision: 'granted',
          ...who
        },
        expect.objectContaining({ level: 30, decision: 'refused', status: 403, reason: 'insufficient_scope', ...who }),
        expect.objectContaining({ level: 30, decision: 'refused', status: 403, reason: 'forbidden', ...who }),
        expect.objectContaining({ level: 40, decision: 'failed', status: 503, ...who })
      ])
      const text = JSON.stringify(lines)
      for (const secret of [token, 'alice-secret', 'id-secret', 'secret-query']) expect(text).not.toContain(secret)
    })

    test('names no client for a token that was not verified, and no route where none is known', async () => {
      const lines = log({ access: true })
      await ask(as.expired({ sub: 'bob-secret' }))
      await ask(undefined)
      expect(lines).toEqual([
        expect.objectContaining({ level: 30, decision: 'refused', method: 'GET', reason: 'expired' }),
        expect.objectContaining({ level: 20, decision: 'refused', method: 'GET', reason: 'credentials_missing' })
      ])
      for (const name of ['issuer', 'client', 'actor', 'jtiSha256', 'subject', 'route'])
        for (const line of lines) expect(line).not.toHaveProperty(name)
    })

    test('names the client of each request, even if one error refuses them all', async () => {
      const lines = log({ access: true })
      const one = new Forbidden()
      const [first, second] = ['client-a', 'client-b'].map((client_id) => as.token({ client_id })) as [string, string]
      let refuse = (): void => undefined
      const gate = new Promise<void>((resolve) => {
        refuse = resolve
      })
      const check = async (): Promise<void> => {
        await gate
        throw one
      }
      const asked = [ask(first, check), ask(second, check)]
      refuse()
      await Promise.all(asked)
      expect(lines.map(({ client, reason }) => [client, reason])).toEqual([
        ['client-a', 'forbidden'],
        ['client-b', 'forbidden']
      ])
    })

    test('adds the subject only with subject: true, and truncates names to 256 characters', async () => {
      const lines = log({ access: true, subject: true })
      await ask(as.token({ sub: 'alice', client_id: 'c'.repeat(300), act: { sub: 7 } }))
      expect(lines).toEqual([expect.objectContaining({ subject: 'alice', client: 'c'.repeat(256) })])
      expect(lines[0]).not.toHaveProperty('actor')
      expect(() => logTo(console, { subject: true })).toThrow(/`subject` is for audit lines/)
    })

    test('logs nothing of another API if one is named, and no grants without the option', async () => {
      const lines = [log({ access: true, resource: 'https://other.example.com' }), log()]
      await ask(as.token())
      expect(lines).toEqual([[], []])
    })
  })

  test('logs an outage with its cause, and a warning of a key as a warning', async () => {
    const lines = log()
    as.fail('introspection', 'reset')
    await ask(as.opaque())
    expect(lines[0]).toMatchObject({ level: 40, err: { message: expect.stringContaining('ended this connection') } })
    const other = await startIssuer()
    ended.push(() => other.close())
    other.jwks.keys.push({ ...other.jwks.keys[0], use: 'Sig' })
    await resourceServer({ resource: RESOURCE, issuers: [other.issuer] }).ready()
    expect(lines.at(-1)).toMatchObject({
      level: 40,
      issuer: other.issuer,
      msg: expect.stringContaining('not for signatures')
    })
  })

  test('logs evidence on request, can be limited to one API, and can be ended', async () => {
    const lines = log({ evidence: true, resource: RESOURCE })
    const others = log({ resource: 'https://other.example.com' })
    await ask(as.wrongAudience())
    expect(lines[0]).toMatchObject({ expected: [RESOURCE], received: 'https://another-api.example' })
    expect(others).toEqual([])
    for (const end of ended.splice(0)) await end()
    await ask(as.wrongAudience())
    expect(lines).toHaveLength(1)
  })
})
