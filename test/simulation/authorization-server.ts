/**
 * An authorization server of the simulation: it issues tokens, rotates keys, and fails in every way that a fault names. It
 * remembers when it was in trouble, because only that excuses a 503.
 */
import { type Key, keyOf, signed } from './signing.js'
import { type Delay, EPOCH, NETWORK, type SimulatedWorld } from './world.js'

export const RESOURCE = 'https://api.example.com'

export const FAULTS = ['down', 'refused', 'stalled', 'slow', 'throttled', 'lying', 'broken'] as const
export type Fault = (typeof FAULTS)[number]

/** A signing key, with times in milliseconds of virtual time. */
export interface IssuerKey extends Key {
  /** When the key set had it first; undefined if it was never published. */
  publishedAt: number | undefined
  withdrawnAt: number | undefined
}

/** A period of trouble. */
export class Trouble {
  fault: Fault | undefined
  /** When the latest trouble began. */
  since: number = Number.NEGATIVE_INFINITY
  private until = Number.NEGATIVE_INFINITY

  begin(fault: Fault, time: number): void {
    if (this.fault === undefined && this.until < time) this.since = time
    this.fault = fault
  }

  end(time: number): void {
    if (this.fault !== undefined) this.until = time
    this.fault = undefined
  }

  /** True if there was trouble at some time from `from` on. */
  wasAfter(from: number): boolean {
    return this.fault !== undefined || (this.until >= from && this.since < Number.POSITIVE_INFINITY)
  }
}

export interface HttpRequest {
  readonly origin: string
  readonly path: string
  readonly method: string
  readonly body: string | null
  readonly signal: AbortSignal
}

interface Reply {
  readonly status: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What reached this server, for the bounds on calls. */
export type Call = { readonly at: number; readonly kind: 'metadata' | 'jwks' | 'introspection'; readonly by: string }

export class AuthorizationServer {
  readonly trouble = new Trouble()
  readonly keys: IssuerKey[] = []
  readonly calls: Call[] = []
  /** Opaque tokens that are active, with the claims of their introspection answer. */
  readonly active = new Map<string, Readonly<Record<string, unknown>>>()
  readonly origin: string
  private readonly world: SimulatedWorld
  private serial = 0

  constructor(origin: string, world: SimulatedWorld) {
    this.origin = origin
    this.world = world
    this.addKey()
    this.publish()
  }

  /** Seconds since the epoch, whole. */
  get clock(): number {
    return Math.floor(EPOCH + this.world.time / 1000)
  }

  get signingKey(): IssuerKey {
    return this.keys.findLast(({ withdrawnAt }) => withdrawnAt === undefined) as IssuerKey
  }

  /** A new key signs from now on; the key set does not have it yet. */
  addKey(): void {
    const { jwk, privateKey, kid } = keyOf(`${new URL(this.origin).hostname}-${++this.serial}`)
    this.keys.push({ jwk, privateKey, kid, publishedAt: undefined, withdrawnAt: undefined })
  }

  publish(): void {
    for (const key of this.keys) key.publishedAt ??= this.world.time
  }

  /** Withdraws the oldest key that has a successor. @returns false if none has */
  withdraw(): boolean {
    const left = this.keys.filter(({ withdrawnAt }) => withdrawnAt === undefined)
    const [oldest] = left
    if (oldest === undefined || left.length < 2) return false
    oldest.withdrawnAt = this.world.time
    this.publish()
    return true
  }

  sign(claims: Readonly<Record<string, unknown>>, key: Key = this.signingKey): string {
    return signed({ typ: 'at+jwt', kid: key.kid }, claims, key)
  }

  /** Milliseconds that one way takes. */
  get delay(): Delay {
    return this.trouble.fault === 'slow' ? [300, 2500] : [1, 40]
  }

  /** @returns undefined for silence, or an error for a connection that fails */
  answer({ path, body }: HttpRequest, by: string): Reply | Error | undefined {
    const kind = path.endsWith('/jwks') ? 'jwks' : path.endsWith('/introspect') ? 'introspection' : 'metadata'
    this.calls.push({ at: this.world.time, kind, by })
    switch (this.trouble.fault) {
      case 'down':
        return { status: 503, body: 'down' }
      case 'refused':
        return new Error('connect ECONNREFUSED')
      case 'stalled':
        return undefined
      case 'throttled':
        return { status: 429, body: '', headers: { 'retry-after': '7' } }
      case 'broken':
        return { status: 200, body: '<h1>Maintenance</h1>', headers: { 'content-type': 'text/html' } }
      case 'lying':
        return json(
          kind === 'jwks' ? { keys: [] } : kind === 'metadata' ? { issuer: 'https://evil.example' } : { active: 'no' }
        )
      default:
        return json(this.document(kind, body))
    }
  }

  private document(kind: Call['kind'], body: string | null): unknown {
    if (kind === 'jwks')
      return {
        keys: this.keys
          .filter(({ publishedAt, withdrawnAt }) => publishedAt !== undefined && withdrawnAt === undefined)
          .map(({ jwk }) => jwk)
      }
    const { origin } = this
    if (kind === 'metadata')
      return { issuer: origin, jwks_uri: `${origin}/jwks`, introspection_endpoint: `${origin}/introspect` }
    const claims = this.active.get(new URLSearchParams(body ?? '').get('token') ?? '')
    return claims === undefined || this.clock >= (claims['exp'] as number)
      ? { active: false }
      : { active: true, ...claims }
  }
}

function json(value: unknown): Reply {
  return { status: 200, body: JSON.stringify(value), headers: { 'content-type': 'application/json' } }
}

/** What a process learns from the network, in order. */
export type Heard = (from: AuthorizationServer, path: string, reply: Reply, arrivedAt: number) => void

/** The `http.dispatcher` of one process: requests and answers are messages with delays. */
export function createDispatcher(
  world: SimulatedWorld,
  owner: Parameters<SimulatedWorld['event']>[0],
  servers: ReadonlyMap<string, AuthorizationServer>,
  heard: Heard
): { request(options: never): Promise<unknown> } {
  const request = (outgoing: HttpRequest): Promise<unknown> =>
    new Promise((resolve, reject) => {
      outgoing.signal.addEventListener('abort', () => reject(outgoing.signal.reason))
      const server = servers.get(outgoing.origin) as AuthorizationServer
      world.event(NETWORK, server.delay, `request ${outgoing.path}`, () => {
        const arrivedAt = world.time
        const reply = server.answer(outgoing, owner.name)
        if (reply === undefined) return
        world.event(owner, server.delay, `answer ${outgoing.path}`, () => {
          if (reply instanceof Error) return reject(reply)
          if (!outgoing.signal.aborted) heard(server, outgoing.path, reply, arrivedAt)
          resolve({ statusCode: reply.status, headers: reply.headers ?? {}, body: bodyOf(reply.body) })
        })
      })
    })
  return { request: request as (options: never) => Promise<unknown> }
}

async function* bodyOf(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text)
}
