/**
 * Metrics and traces for OpenTelemetry, from this package's `node:diagnostics_channel` messages: decisions by reason,
 * requests to authorization servers, the state of issuers and caches. Takes a meter and a tracer by shape, without a
 * dependency on the SDK.
 *
 * Attributes have few values: no token, no claim, no subject, no URL beyond a host.
 */
import { requireOptions } from '../src/base/options/spelling.js'
import type { AccessEvent, ExchangeEvent, RefusalEvent, ResourceServer } from '../src/index.js'
import { createListen, type Listen } from './channels.js'

type Attributes = Record<string, string | number>

/** The used part of a meter of `@opentelemetry/api`. */
export interface Meter {
  createCounter(name: string, options?: Description): { add(value: number, attributes?: Attributes): void }
  createHistogram(name: string, options?: Description): { record(value: number, attributes?: Attributes): void }
  createObservableGauge(name: string, options?: Description): Gauge
}

interface Gauge {
  addCallback(callback: Observe): void
  removeCallback(callback: Observe): void
}

interface Description {
  description?: string
  unit?: string
}

type Observe = (result: { observe(value: number, attributes?: Attributes): void }) => void

/** The used part of a tracer of `@opentelemetry/api`. */
export interface Tracer {
  startSpan(
    name: string,
    options?: { kind?: number; startTime?: number; attributes?: Attributes }
  ): { setStatus(status: { code: number; message?: string }): unknown; end(endTime?: number): void }
}

/** Destinations of measurements and spans. */
export interface TelemetryOptions {
  /** `metrics.getMeter('my-api')`. Default: no metrics. */
  readonly meter?: Meter
  /** `trace.getTracer('my-api')`. Default: no spans. */
  readonly tracer?: Tracer
  /**
   * Resource servers whose health and caches are measured when metrics are read. Default: none. Decisions are counted
   * for all servers of the process.
   */
  readonly apis?: readonly ResourceServer<never>[]
}

/** Values of `SpanKind.CLIENT` and `SpanStatusCode.ERROR`. */
const CLIENT = 2
const ERROR = 2
const STATUS = { ok: 0, degraded: 1, failed: 2 } as const

/**
 * Records metrics and spans.
 *
 * | name | meaning |
 * |---|---|
 * | `oauth.resource_server.decisions` | counter, by `outcome` (`granted`, `refused`, `failed`), `reason` |
 * | `oauth.resource_server.exchange.duration` | histogram in seconds, by `dependency`, `server.address`, `http.response.status_code` or `error.type` |
 * | `oauth.resource_server.issuer.status` | gauge, by `issuer`: 0 ok, 1 degraded, 2 failed |
 * | `oauth.resource_server.cache.entries`, `.bytes` | gauges, by `cache` |
 * | span `POST introspection` and similar | each attempt to reach an authorization server, in the context of its request |
 *
 * All have `oauth.resource`, the identifier of the API. A meter or tracer that throws does not stop requests: the first
 * error becomes a process warning.
 *
 * @returns a function that stops recording
 * @throws {TypeError} at once, for a name that is not an option
 */
export function instrument(options: TelemetryOptions): () => void {
  requireOptions('instrument()', options, { meter: {}, tracer: {}, apis: [] })
  const { meter, tracer, apis = [] } = options
  const listen = createListen('instrument()')
  const ends = [
    ...(meter ? [measure(meter, listen), ...observe(meter, apis)] : []),
    ...(tracer ? [trace(tracer, listen)] : [])
  ]
  return () => {
    for (const end of ends.splice(0)) end()
  }
}

function measure(meter: Meter, listen: Listen): () => void {
  const decisions = meter.createCounter('oauth.resource_server.decisions', {
    description: 'Requests that were accepted, refused, or could not be decided',
    unit: '{request}'
  })
  const durations = meter.createHistogram('oauth.resource_server.exchange.duration', {
    description: 'Attempts to reach authorization servers',
    unit: 's'
  })
  const ends = [
    listen<AccessEvent>('access', ({ resource, issuer }) =>
      decisions.add(1, { 'oauth.resource': resource, 'oauth.issuer': issuer, outcome: 'granted' })
    ),
    listen<RefusalEvent>('refusal', ({ resource, error }) => {
      const outcome = error.status < 500 ? 'refused' : 'failed'
      decisions.add(1, { 'oauth.resource': resource, outcome, reason: error.reason })
    }),
    listen<ExchangeEvent>('exchange', (exchange) => durations.record(exchange.duration / 1000, attributesOf(exchange)))
  ]
  return () => {
    for (const end of ends) end()
  }
}

function observe(meter: Meter, apis: readonly ResourceServer<never>[]): (() => void)[] {
  const gauge = (name: string, description: string, unit: string, read: (api: ResourceServer<never>) => Reading[]) => {
    const made = meter.createObservableGauge(`oauth.resource_server.${name}`, { description, unit })
    const callback: Observe = (result) => {
      for (const api of apis)
        for (const { value, attributes } of read(api))
          result.observe(value, { 'oauth.resource': api.resource, ...attributes })
    }
    made.addCallback(callback)
    return () => made.removeCallback(callback)
  }
  const caches = (figure: 'entries' | 'bytes') => (api: ResourceServer<never>) =>
    Object.entries(api.stats().cache).flatMap(([cache, stats]) => {
      const value = (stats as Readonly<Partial<Record<typeof figure, number>>>)[figure]
      return value === undefined ? [] : [{ value, attributes: { cache } }]
    })
  return [
    gauge('issuer.status', '0: ok, 1: served from memory while renewals fail, 2: cannot verify', '1', (api) =>
      api
        .health()
        .issuers.map(({ issuer, status }) => ({ value: STATUS[status], attributes: { 'oauth.issuer': issuer } }))
    ),
    gauge('cache.entries', 'Entries of each cache', '{entry}', caches('entries')),
    gauge('cache.bytes', 'Approximate size of each cache', 'By', caches('bytes'))
  ]
}

interface Reading {
  readonly value: number
  readonly attributes: Attributes
}

function trace(tracer: Tracer, listen: Listen): () => void {
  return listen<ExchangeEvent>('exchange', (exchange) => {
    const { method, dependency, startedAt, duration, failure } = exchange
    // The message is published in the context of the request that caused the exchange, so the span gets the right
    // parent.
    const span = tracer.startSpan(`${method} ${dependency}`, {
      kind: CLIENT,
      startTime: startedAt,
      attributes: attributesOf(exchange)
    })
    if (failure !== undefined) span.setStatus({ code: ERROR, message: failure })
    span.end(startedAt + duration)
  })
}

function attributesOf({ resource, dependency, method, host, status, failure }: ExchangeEvent): Attributes {
  return {
    'oauth.resource': resource,
    dependency,
    'server.address': host,
    'http.request.method': method,
    ...(status !== undefined && { 'http.response.status_code': status }),
    ...(failure !== undefined && { 'error.type': status === undefined ? 'no_answer' : 'unusable_answer' })
  }
}
