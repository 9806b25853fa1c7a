import type { JsonWebKey } from 'node:crypto'

/** What a contender needs to know to protect the API of the benchmark. */
export interface Setup {
  /** `http://127.0.0.1:port`, with metadata, key set and introspection. */
  readonly issuer: string
  readonly jwksUri: string
  readonly audience: string
  /** The key set, for those who cannot fetch one over plain `http`. */
  readonly jwks: { readonly keys: readonly (JsonWebKey & { readonly kid: string; readonly alg: string })[] }
  /** Where our package was built: `<package>/dist`. */
  readonly package: string
  /** What the measurement wants to be different, such as `cache: false`. */
  readonly variant?: Readonly<Record<string, unknown>> | undefined
}

/** Everything signed before a measurement: lists of tokens by name, keys of DPoP clients. */
export interface Fixture extends Setup {
  readonly tokens: Readonly<Record<string, readonly string[]>>
  readonly clients: readonly DpopClient[]
}

export interface DpopClient {
  readonly privateJwk: JsonWebKey
  readonly publicJwk: JsonWebKey
  /** Access token bound to that key. */
  readonly token: string
}

/** Verifies one credential: returns or resolves if it is good, throws or rejects if not. */
export type Verify = (authorization: string) => unknown

/** Of a 401: its header fields, and its body. */
export interface Refusal {
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: string
}

export interface Proof {
  readonly authorization: string
  readonly proof: string
}

/** A way to protect an API, configured as its README recommends. What it cannot do, it leaves out. */
export interface Peer {
  readonly name: string
  /** Names of npm packages, for the table of versions. */
  readonly packages: readonly string[]
  /** The value of an `Authorization` field → good or not. */
  verify?(setup: Setup): Verify | Promise<Verify>
  /** Where the input may be ready before the clock starts: only for the raw signature check. */
  prepare?(authorization: string): unknown
  verifyPrepared?(setup: Setup): (prepared: never) => unknown
  /** The same of a proof. */
  prepareProof?(request: Proof): unknown
  verifyPreparedProof?(setup: Setup): (prepared: never) => unknown
  /** `GET /items` at the URI `audience + '/items'`, with a DPoP proof. */
  verifyProof?(setup: Setup): ((request: Proof) => unknown) | Promise<(request: Proof) => unknown>
  /** What a server sends for this error; left out where the package leaves that to its user. */
  refuse?(error: unknown): Refusal
  /** Middleware, or a plugin, for a route that answers `{"ok":true}`. */
  express?(setup: Setup): unknown
  koa?(setup: Setup): unknown
  hono?(setup: Setup): unknown
  /** Registers what is needed and returns the route's options. */
  fastify?(setup: Setup, app: import('fastify').FastifyInstance): Promise<Record<string, unknown>>
}

/** What is done again and again, and how. */
export interface Task {
  readonly drill: string
  readonly tokens?: string
  /** How many of these tokens take part; all of them if left out. */
  readonly distinct?: number
  readonly expect?: 'good' | 'refused'
  /** Before anything counts, caches are filled with other tokens, which do not come again. */
  readonly filled?: boolean
  /** How long one lane works before it is the next one's turn. */
  readonly milliseconds: number
  /** How many operations that are, where it is not to be found out. */
  readonly n?: number
  /** What is different in a lane, by its number. */
  readonly lanes?: readonly Partial<Task>[]
}

export type Slice = Task & { readonly n: number }

/** What works in a process: a file of bench/peers, and what is to be different about it. */
export interface Lane {
  readonly module: string
  readonly variant?: Readonly<Record<string, unknown>>
}

/** Microseconds for one operation. */
export interface Cost {
  /** By the clock, on average. */
  readonly wall: number
  /** Of processor time in all threads of the process, on average. */
  readonly cpu: number
  /** The median of single calls by the clock: hardly any of them meets the collector or a neighbour. NaN where there are none. */
  readonly call: number
}
