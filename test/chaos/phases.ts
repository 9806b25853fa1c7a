/** The faults, one after the other: what is done, and what a resource server can still know while it lasts. */
import type { HttpOptions } from '../../src/index.js'
import type { TestRedis } from '../support/redis.js'
import type { Tokens } from './authorization-server.js'
import type { Circumstances } from './bounds.js'
import {
  blackHole,
  cut,
  drip,
  emptyJwks,
  type Fault,
  type FaultProxy,
  flood,
  gzipBomb,
  latency,
  reset,
  status,
  wrongIssuer
} from './proxy.js'
import type { Known } from './traffic.js'

/** What faults are done to. */
export interface World {
  readonly server: Tokens
  readonly proxy: FaultProxy
  readonly redis: TestRedis
  /** Waits until each app's client has found Redis again, which is the client's affair. */
  connected(): Promise<void>
  /** Moves the clock of the resource servers. */
  pass(seconds: number): void
}

export interface Phase {
  readonly fault: string
  readonly known: Known
  readonly failing: Circumstances['failing']
  /** Seconds that pass before it. Keys are due for renewal from 540 at the latest, and fresh until 600; metadata until 3600. */
  readonly after: number
  /** The apps share a Redis. */
  readonly fleet?: boolean
  /** Shorter than the usual, where somebody says nothing: nobody wants to wait for that. */
  readonly http?: HttpOptions
  /** What the apps know is forgotten before. */
  readonly cold?: boolean
  /** Good answers may take a second attempt. */
  readonly cut?: boolean
  /** Seconds after which all is well again, where the server asked for more than a back-off. */
  readonly step?: number
  /** Seconds from the first request to the last, as periods see it, where the clock does not just go on. */
  readonly seconds?: number
  readonly begin?: (world: World) => unknown
  readonly end?: (world: World) => unknown
  /** Between two rounds. */
  readonly between?: (world: World, round: number) => void
  /** With each answer, of which this is the so manieth. */
  readonly answered?: (world: World, answers: number) => void
}

export const ALL: Known = { keys: true, newKeys: true, introspection: true, proofs: true }
/** Keys are held, and nothing else can be had. */
const HELD: Known = { ...ALL, newKeys: false, introspection: false }
const NOTHING: Known = { ...HELD, keys: false }
/**
 * Whether there are other keys is for one process to find out, for all of them. And Redis has a second for a proof, which a
 * busy machine may not have.
 */
export const FLEET: Known = { ...ALL, newKeys: 'perhaps', proofs: 'perhaps' }
/** Proofs are the one thing that nobody stands in for. */
const WITHOUT_REDIS: Known = { ...FLEET, proofs: false }

const NONE_FAILING = { metadata: false, jwks: false, introspection: false } as const
const ALL_FAILING = { metadata: true, jwks: true, introspection: true } as const

type Acts = Pick<Phase, 'begin' | 'end'>

const armed = (fault: Fault): Acts => ({
  begin: ({ proxy }) => proxy.arm(fault),
  end: ({ proxy }) => proxy.arm(undefined)
})

const IMPATIENT: HttpOptions = { timeout: 1, deadline: 1.5 }

/** Nothing can be had from the authorization server. */
const outage = (fault: string, acts: Acts, more: Partial<Phase> = {}): Phase => ({
  fault,
  known: HELD,
  failing: ALL_FAILING,
  after: 700,
  ...acts,
  ...more
})

/** Something is wrong, and every request is decided all the same. */
const nuisance = (fault: string, acts: Acts, more: Partial<Phase> = {}): Phase => ({
  fault,
  known: ALL,
  failing: NONE_FAILING,
  after: 700,
  ...acts,
  ...more
})

const fleet = (fault: string, acts: Acts, more: Partial<Phase> = {}): Phase =>
  nuisance(fault, acts, { known: FLEET, fleet: true, ...more })

const STORM: readonly (Fault | undefined)[] = [
  undefined,
  reset,
  cut,
  status(500),
  undefined,
  emptyJwks,
  blackHole,
  gzipBomb(),
  status(429),
  wrongIssuer,
  latency(50)
]

export const PHASES: readonly Phase[] = [
  nuisance('none: the same traffic', {}),
  nuisance('latency: 100 ms more for every answer', armed(latency(100))),
  outage('black hole: requests are taken, never answered', armed(blackHole), { after: 545, http: IMPATIENT }),
  outage('reset: every connection', armed(reset)),
  outage('drip: a byte every 20 ms, for ever', armed(drip), { http: IMPATIENT }),
  outage('cut: half of every body', armed(cut)),
  outage('500 storm', armed(status(500))),
  outage('429 storm, `Retry-After: 60`', armed(status(429, { 'retry-after': '60' })), { step: 61 }),
  outage('gzip bomb: 64 MiB in 64 KiB', armed(gzipBomb())),
  outage('flood: white space without end', armed(flood)),
  nuisance('empty key set', armed(emptyJwks), {
    known: { ...ALL, newKeys: false },
    failing: { ...NONE_FAILING, jwks: true }
  }),
  nuisance('metadata of another issuer', armed(wrongIssuer), {
    after: 3700,
    failing: { ...NONE_FAILING, metadata: true }
  }),
  nuisance(
    'certificate renewed, same authority',
    { begin: ({ proxy }) => proxy.changeCertificate('same') },
    { cut: true }
  ),
  outage('certificate of an unknown authority', {
    begin: ({ proxy }) => proxy.changeCertificate('unknown'),
    end: ({ proxy }) => proxy.changeCertificate('same')
  }),
  nuisance(
    'clock: two days ahead, then back',
    {},
    {
      // Each jump ends what is remembered.
      seconds: 3 * 30,
      between: (world, round) => {
        if (round === 1) world.pass(2 * 86_400)
        if (round === 2) world.pass(-2 * 86_400)
      }
    }
  ),
  nuisance(
    'all of these in turn, amid requests',
    { end: ({ proxy }) => proxy.arm(undefined) },
    {
      known: { ...ALL, newKeys: 'perhaps', introspection: 'perhaps' },
      http: IMPATIENT,
      failing: { metadata: 'now and then', jwks: 'now and then', introspection: 'now and then' },
      answered: ({ proxy }, answers) => {
        if (answers % 50 === 0) proxy.arm(STORM[(answers / 50) % STORM.length])
      }
    }
  ),
  outage('authorization server stopped', {
    begin: ({ server }) => server.stop(),
    end: ({ server }) => server.start()
  }),
  outage('cold start into a 500 storm', armed(status(500)), { known: NOTHING, cold: true, after: 0 }),
  fleet('shared Redis, no fault', {}),
  fleet('shared Redis, cold start into a 500 storm', armed(status(500)), {
    known: { ...FLEET, newKeys: 'perhaps', introspection: false },
    failing: ALL_FAILING,
    cold: true,
    // Longer than an answer about a token is believed.
    after: 31
  }),
  fleet('Redis frozen: takes commands, never answers', { begin: freeze, end: thaw }, { known: WITHOUT_REDIS }),
  fleet('Redis killed', { begin: ({ redis }) => redis.kill(), end: restart }, { known: WITHOUT_REDIS }),
  fleet(
    'Redis killed and a 500 storm',
    {
      begin: async ({ proxy, redis }) => {
        proxy.arm(status(500))
        await redis.kill()
      },
      end: async (world) => {
        world.proxy.arm(undefined)
        await restart(world)
      }
    },
    { known: { ...WITHOUT_REDIS, newKeys: false, introspection: false }, failing: ALL_FAILING }
  )
]

let frozen: number | undefined

async function freeze({ redis }: World): Promise<void> {
  frozen = Number(/process_id:(\d+)/.exec(await redis.look.info('server'))?.[1])
  process.kill(frozen, 'SIGSTOP')
}

async function thaw(world: World): Promise<void> {
  if (frozen !== undefined) process.kill(frozen, 'SIGCONT')
  frozen = undefined
  await world.connected()
}

async function restart(world: World): Promise<void> {
  await world.redis.start()
  await world.connected()
}
