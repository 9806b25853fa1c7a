/**
 * A fleet of the real package in a simulated world: processes that share a store and a log, their authorization servers and
 * clients. What happens is told as a story; what must not happen is a {@link Violation}, found by `judge.ts`.
 */
import {
  clientSecretBasic,
  type ReceivedRequest,
  type Receiver,
  type ResourceRequest,
  resourceServer,
  scope,
  securityEventReceiver
} from '../../src/index.js'
import { AuthorizationServer, createDispatcher, type IssuerKey, RESOURCE } from './authorization-server.js'
import { LogEngine, StoreEngine } from './engine.js'
import { type Judge, Violation } from './judge.js'
import { keyOf, proofOf, signed, thumbprintOf } from './signing.js'
import { EPOCH, NETWORK, type Owner, type SimulatedWorld } from './world.js'

/** Capacity of each process for revocations. An eighth is the operator's. */
export const ROOM = 24
const URL_OF_ITEMS = `${RESOURCE}/items`
const TRANSMITTER = 'https://ssf.example'
const SECRET = 'a secret of the simulated fleet, 32+'

export interface Token {
  readonly name: string
  readonly text: string
  /** False for a token that no process may ever accept. */
  readonly isReal: boolean
  readonly server: AuthorizationServer
  readonly subject: string
  readonly jti: string
  readonly iat: number
  readonly exp: number
  /** Undefined for an opaque token. */
  readonly key: IssuerKey | undefined
  /** Name of the client key that it is bound to. */
  readonly boundTo: string | undefined
  /** When the authorization server was told to deactivate it, in virtual time. */
  deactivatedAt: number | undefined
}

export interface Proof {
  readonly text: string
  readonly iat: number
  /** Virtual times of the requests with it. */
  readonly sent: number[]
  /** Virtual times at which requests with it were sent that were granted later. */
  readonly granted: number[]
}

export interface Revocation {
  readonly by: 'operator' | 'transmitter'
  readonly process: Process
  readonly jti?: string
  readonly subject?: string
  /** Tokens issued before are surely revoked; tokens issued at `maybe` or later are surely not. Seconds since the epoch. */
  readonly before: { readonly surely: number; readonly maybe: number }
  readonly askedAt: number
  ackedAt: number | undefined
  /** When its process took it although the log failed: it is appended later. */
  heldAt: number | undefined
}

/** One run of a process: after a crash, another one takes its place. */
export class Process implements Owner {
  readonly name: string
  readonly startedAt: number
  isAlive = true
  /** Seconds. */
  ahead: number
  guard!: ReturnType<ReturnType<typeof resourceServer>['protect']>
  api!: ReturnType<typeof resourceServer>
  receive!: Receiver
  /** The latest key set that arrived, by the time of its answer. */
  keysAt = Number.NEGATIVE_INFINITY
  kids: ReadonlySet<string> = new Set()
  /** When its first key set arrived. */
  keysSince = Number.POSITIVE_INFINITY
  /** Revocations that have shown their effect here. */
  readonly heeded = new Set<Revocation>()
  readonly asked = new Set<Ask>()
  jumpedAt = Number.NEGATIVE_INFINITY
  floodedAt = Number.NEGATIVE_INFINITY

  constructor(name: string, ahead: number, startedAt: number) {
    this.name = name
    this.ahead = ahead
    this.startedAt = startedAt
  }

  /** Creates the resource server, as this process. */
  start(fleet: Fleet): void {
    const { world, jwts, opaque } = fleet
    const servers = new Map([jwts, opaque].map((one) => [one.origin, one]))
    const dispatcher = createDispatcher(world, this, servers, (server, path, { status, body }, arrivedAt) => {
      if (server !== jwts || !path.endsWith('/jwks') || status !== 200 || arrivedAt < this.keysAt) return
      const kids = kidsOf(body)
      if (kids === undefined) return
      this.keysAt = arrivedAt
      this.kids = kids
      this.keysSince = Math.min(this.keysSince, world.time)
    })
    this.api = resourceServer({
      resource: RESOURCE,
      issuers: [
        jwts.origin,
        {
          issuer: opaque.origin,
          tokens: 'opaque',
          introspection: { clientId: 'api', auth: clientSecretBasic('secret') }
        }
      ],
      http: { dispatcher },
      now: () => world.clock(this),
      revocation: { maxEntries: ROOM },
      shared: { store: fleet.store.for(this), log: fleet.log.for(this), secret: SECRET },
      log: false
    })
    this.guard = this.api.protect(scope('read'))
    this.receive = securityEventReceiver(this.api, {
      transmitters: [{ issuer: TRANSMITTER, tokenIssuers: [jwts.origin], jwks: { keys: [keyOf('ssf').jwk as never] } }]
    })
  }
}

function kidsOf(body: string): ReadonlySet<string> | undefined {
  try {
    const { keys } = JSON.parse(body) as { keys: { kid: string }[] }
    return keys.length === 0 ? undefined : new Set(keys.map(({ kid }) => kid))
  } catch {
    return undefined
  }
}

/** A request, and what was known when it arrived. */
export interface Ask {
  readonly token: Token
  readonly proof: Proof | undefined
  readonly process: Process
  readonly startedAt: number
  /** The process's wall clock during the request, in seconds since the epoch: least and most. */
  readonly clock: { least: number; most: number }
  /** True if the process had the key, and no later key set was without it. */
  readonly hadKey: boolean
  /** Revocations that had shown their effect in this process. */
  readonly heeded: ReadonlySet<Revocation>
}

export interface Answer {
  readonly status: number
  readonly reason: string
}

export interface Setup {
  readonly processes: number
  /** Seconds by which each process's clock is ahead. */
  readonly ahead: readonly number[]
  /** Entries that the log has room for. */
  readonly logRoom: number
}

export class Fleet {
  readonly world: SimulatedWorld
  readonly jwts: AuthorizationServer
  readonly opaque: AuthorizationServer
  readonly store: StoreEngine
  readonly log: LogEngine
  readonly processes: Process[] = []
  readonly tokens: Token[] = []
  readonly proofs: { readonly token: Token; readonly proof: Proof }[] = []
  readonly revocations: Revocation[] = []
  readonly story: string[] = []
  crashedAt = Number.NEGATIVE_INFINITY
  violation: Violation | undefined
  private readonly judge: Judge
  private readonly ahead: readonly number[]
  private serial = 0
  private events = 0

  constructor(world: SimulatedWorld, { processes, ahead, logRoom }: Setup, judge: Judge) {
    this.world = world
    this.judge = judge
    this.ahead = ahead
    this.jwts = new AuthorizationServer('https://jwts.example', world)
    this.opaque = new AuthorizationServer('https://opaque.example', world)
    this.store = new StoreEngine(world)
    this.log = new LogEngine(world, logRoom)
    this.processes.length = processes
  }

  async start(): Promise<void> {
    for (let place = 0; place < this.processes.length; place++) await this.boot(place)
  }

  tell(what: string): void {
    const seconds = (this.world.time / 1000).toFixed(3)
    this.story.push(`${seconds.padStart(8)} s  ${what}`)
    this.world.note(what)
  }

  /** True if something happened in these last milliseconds whose effects last up to a backoff step. */
  hadTroubleWithin(milliseconds: number): boolean {
    const since = this.world.time - milliseconds
    const isRecent = ({ jumpedAt, floodedAt }: Process): boolean => jumpedAt > since || floodedAt > since
    return (
      [this.jwts, this.opaque].some(({ trouble }) => trouble.wasAfter(since)) ||
      this.crashedAt > since ||
      this.log.losses.length > 0 ||
      this.processes.some(isRecent)
    )
  }

  /** @throws {Violation} found since the last call */
  requireGood(): void {
    if (this.violation !== undefined) throw this.violation
  }

  private report(what: string): void {
    this.tell(`WRONG: ${what}`)
    this.violation ??= new Violation(what)
  }

  private async boot(place: number): Promise<void> {
    const name = `process ${place + 1}${this.serial++ < this.processes.length ? '' : `.${this.serial}`}`
    const process = new Process(name, this.ahead[place] ?? 0, this.world.time)
    this.processes[place] = process
    await this.world.as(process, 'starts', () => process.start(this))
  }

  at(place: number): Process {
    return this.processes[place % this.processes.length] as Process
  }

  async crash(place: number): Promise<void> {
    const process = this.at(place)
    this.tell(`${process.name} crashes and restarts.`)
    process.isAlive = false
    this.crashedAt = this.world.time
    await this.boot(place % this.processes.length)
  }

  jump(place: number, seconds: number): void {
    const process = this.at(place)
    const ahead = Math.max(-4, Math.min(4, process.ahead + seconds))
    this.tell(`The clock of ${process.name} jumps by ${ahead - process.ahead} s.`)
    process.ahead = ahead
    process.jumpedAt = this.world.time
    const now = this.world.clock(process)
    for (const { clock } of process.asked) {
      clock.least = Math.min(clock.least, now)
      clock.most = Math.max(clock.most, now)
    }
  }

  issue(kind: 'jwt' | 'bound' | 'short' | 'opaque' | 'stranger' | 'audience'): Token {
    const server = kind === 'opaque' ? this.opaque : this.jwts
    const { clock: iat, signingKey } = server
    const n = this.tokens.length + 1
    const [jti, subject] = [`t${n}`, `user-${n % 3}`]
    const exp = iat + (kind === 'short' ? -25 : 3600)
    const boundTo = kind === 'bound' ? `client-${n % 2}` : undefined
    const claims = {
      iss: server.origin,
      aud: kind === 'audience' ? 'https://other.example' : RESOURCE,
      sub: subject,
      client_id: 'app',
      iat,
      exp,
      jti,
      scope: 'read',
      ...(boundTo && { cnf: { jkt: thumbprintOf(keyOf(boundTo)) } })
    }
    const isReal = kind !== 'stranger' && kind !== 'audience'
    const signer =
      kind === 'stranger' ? { ...keyOf('stranger'), kid: n % 2 ? signingKey.kid : `odd-${n % 5}` } : signingKey
    const text = kind === 'opaque' ? `opaque-token-of-the-simulation-${n}` : server.sign(claims, signer)
    if (kind === 'opaque') server.active.set(text, claims)
    const key = kind === 'opaque' ? undefined : signingKey
    const label = { jwt: 'JWT', bound: 'DPoP-bound JWT', short: 'JWT about to expire', opaque: 'opaque token' }
    const name = `token ${n} (${isReal ? label[kind as 'jwt'] : kind === 'stranger' ? 'a JWT by a stranger' : 'a JWT for another API'}${isReal && key ? `, key ${key.kid}` : ''}, ${subject})`
    const token = { name, text, isReal, server, subject, jti, iat, exp, key, boundTo, deactivatedAt: undefined }
    this.tokens.push(token)
    return token
  }

  /** A proof for the token, new or used before. */
  proofFor(token: Token, isReplayed: boolean): Proof | undefined {
    if (token.boundTo === undefined) return undefined
    const used = this.proofs.findLast((one) => one.token === token)
    if (isReplayed && used !== undefined) return used.proof
    const iat = Math.floor(EPOCH + this.world.time / 1000)
    const jti = `p${this.proofs.length + 1}`
    const text = proofOf(keyOf(token.boundTo), { url: URL_OF_ITEMS, token: token.text, jti, at: iat })
    const proof: Proof = { text, iat, sent: [], granted: [] }
    this.proofs.push({ token, proof })
    return proof
  }

  /** Sends a request, without waiting for its answer. */
  async ask(place: number, token: Token, isReplayed = false, isTold = true): Promise<void> {
    const process = this.at(place)
    const { world } = this
    const now = world.clock(process)
    const proof = this.proofFor(token, isReplayed)
    proof?.sent.push(world.time)
    const ask: Ask = {
      token,
      proof,
      process,
      startedAt: world.time,
      clock: { least: now, most: now },
      hadKey: token.key !== undefined && process.kids.has(token.key.kid),
      heeded: new Set(process.heeded)
    }
    const told = isTold ? this.story.push('') - 1 : undefined
    const line = `${(world.time / 1000).toFixed(3).padStart(8)} s  ${process.name} gets ${token.name}${proof ? (isReplayed ? ' with a used proof' : ' with a new proof') : ''}`
    if (told !== undefined) this.story[told] = `${line}, and has not answered.`
    process.asked.add(ask)
    world.event(NETWORK, [12_000, 12_000], 'patience', () => {
      if (process.asked.has(ask) && process.isAlive)
        this.report(
          `${process.name} does not answer the request from ${(ask.startedAt / 1000).toFixed(3)} s within 12 s`
        )
    })
    await world.as(process, 'is asked', () => {
      void answerOf(process, requestWith(token, proof)).then((answer) => {
        process.asked.delete(ask)
        if (told !== undefined)
          this.story[told] =
            `${line}: ${answer.status} ${answer.reason} (after ${Math.round(world.time - ask.startedAt)} ms).`
        world.note(`${line} ${answer.status} ${answer.reason}`)
        if (!process.isAlive) return
        const wrong = this.judge.answer(this, ask, answer)
        if (wrong !== undefined)
          this.report(`${process.name} answers ${answer.status} ${answer.reason} to ${token.name}: ${wrong}`)
      })
    })
  }

  /** Requests that nobody waits for: made-up tokens. */
  async flood(place: number, kind: 'kids' | 'opaque', count: number): Promise<void> {
    const process = this.at(place)
    this.tell(`${process.name} gets ${count} made-up ${kind === 'kids' ? 'JWTs with unknown keys' : 'opaque tokens'}.`)
    process.floodedAt = this.world.time
    const key = keyOf('stranger')
    const { clock: iat, origin: iss } = this.jwts
    const claims = { iss, aud: RESOURCE, sub: 'nobody', client_id: 'app', iat, exp: iat + 60, jti: 'j', scope: 'read' }
    const texts = Array.from({ length: count }, (_, i) =>
      kind === 'kids'
        ? signed({ typ: 'at+jwt', kid: `made-up-${i % 7}-${this.world.time}` }, claims, key)
        : `made-up-${i}-${this.world.time}`
    )
    await this.world.as(process, 'is flooded', () => {
      for (const text of texts)
        void answerOf(process, requestOf(`Bearer ${text}`)).then(({ status }) => {
          if (status === 200) this.report(`${process.name} accepts a made-up token`)
        })
    })
  }

  /** Revokes a token, or all tokens of its user. */
  async revoke(place: number, by: Revocation['by'], token: Token, everything: boolean): Promise<void> {
    const process = this.at(place)
    const { clock } = this.jwts
    const isBySubject = by === 'transmitter' || everything
    const revocation: Revocation = {
      by,
      process,
      ...(isBySubject ? { subject: token.subject } : { jti: token.jti }),
      before: isBySubject
        ? by === 'operator'
          ? { surely: clock, maybe: clock }
          : { surely: clock - 10, maybe: clock + 1 }
        : { surely: Number.POSITIVE_INFINITY, maybe: Number.POSITIVE_INFINITY },
      askedAt: this.world.time,
      ackedAt: undefined,
      heldAt: undefined
    }
    this.revocations.push(revocation)
    const line = `${(this.world.time / 1000).toFixed(3).padStart(8)} s  ${by === 'operator' ? 'The operator' : 'A transmitter'} revokes ${isBySubject ? `the tokens of ${token.subject}` : token.name} at ${process.name}`
    const told = this.story.push(`${line}; no answer.`) - 1
    await this.world.as(process, 'revokes', () => {
      void this.sendRevocation(process, revocation, token, clock).then((status) => {
        if (!process.isAlive) return
        this.story[told] = `${line}: ${status}.`
        this.world.note(`${line} ${status}`)
        if (status === 'acknowledged') revocation.ackedAt = this.world.time
        else if (by === 'operator' && status === 'unavailable') revocation.heldAt = this.world.time
        const wrong = status === 'full' ? this.judge.full(this, revocation) : undefined
        if (wrong !== undefined) this.report(wrong)
      })
    })
  }

  /** A transmitter tells of many users at once. */
  async sendEvents(place: number, count: number): Promise<void> {
    const process = this.at(place)
    this.tell(`A transmitter sends ${count} events about other users to ${process.name}.`)
    for (let i = 0; i < count; i++) {
      const subject = `other-${i}`
      this.revocations.push({
        by: 'transmitter',
        process,
        subject,
        before: { surely: 0, maybe: 0 },
        askedAt: this.world.time,
        ackedAt: undefined,
        heldAt: undefined
      })
      await this.world.as(process, 'receives an event', () => {
        void process.receive(this.eventAbout(subject, this.jwts.origin, this.jwts.clock))
      })
      await this.world.pass(25)
      if (!process.isAlive) return
    }
  }

  private eventAbout(sub: string, iss: string, at: number): ReceivedRequest {
    const event = {
      iss: TRANSMITTER,
      aud: RESOURCE,
      iat: at,
      jti: `s${this.events++}`,
      sub_id: { format: 'iss_sub', iss, sub },
      events: { 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': { event_timestamp: at } }
    }
    const body = signed({ typ: 'secevent+jwt', kid: 'ssf' }, event, keyOf('ssf'))
    return { method: 'POST', contentType: 'application/secevent+jwt', body }
  }

  private async sendRevocation(
    process: Process,
    { by }: Revocation,
    token: Token,
    at: number
  ): Promise<'acknowledged' | 'unavailable' | 'full' | 'refused'> {
    const { origin: issuer } = token.server
    if (by === 'operator') {
      const bySubject = this.revocations.at(-1)?.subject !== undefined
      const one = bySubject ? { issuer, subject: token.subject, before: at } : { issuer, jti: token.jti }
      return process.api.revoke(one).then(
        () => 'acknowledged' as const,
        (error: Error) => (error.name === 'RevocationsFull' ? 'full' : 'unavailable')
      )
    }
    const { status } = await process.receive(this.eventAbout(token.subject, issuer, at))
    return status === 202 ? 'acknowledged' : status >= 500 ? 'unavailable' : 'refused'
  }
}

async function answerOf(process: Process, request: ResourceRequest): Promise<Answer> {
  try {
    await process.guard.authorize(request)
    return { status: 200, reason: 'granted' }
  } catch (error) {
    const { status = 0, reason = String(error) } = error as Partial<Answer>
    return { status, reason }
  }
}

function requestWith(token: Token, proof: Proof | undefined): ResourceRequest {
  return proof === undefined ? requestOf(`Bearer ${token.text}`) : requestOf(`DPoP ${token.text}`, proof.text)
}

function requestOf(authorization: string, dpop?: string): ResourceRequest {
  const lines: Readonly<Record<string, string | undefined>> = { authorization, dpop }
  return { method: 'GET', url: '/items', fieldLines: (name) => (lines[name] === undefined ? [] : [lines[name]]) }
}
