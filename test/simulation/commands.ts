/** What can happen to a fleet: commands for fast-check, each after a pause. */
import fc from 'fast-check'
import { FAULTS, type Fault } from './authorization-server.js'
import type { Fleet, Token } from './fleet.js'

/** Fast-check asks each command whether it applies; all of ours do. */
type Model = Record<string, never>

class Command implements fc.AsyncCommand<Model, Fleet> {
  private readonly pause: number
  private readonly label: string
  private readonly act: (fleet: Fleet) => Promise<void> | void

  constructor(pause: number, label: string, act: (fleet: Fleet) => Promise<void> | void) {
    this.pause = pause
    this.label = label
    this.act = act
  }

  check(): boolean {
    return true
  }

  async run(_model: Model, fleet: Fleet): Promise<void> {
    await fleet.world.pass(this.pause)
    fleet.requireGood()
    await this.act(fleet)
    fleet.requireGood()
  }

  toString(): string {
    return `${this.pause} ms: ${this.label}`
  }
}

/** Milliseconds before a command: within the delays of messages, within a poll, and longer than deadlines. */
const pause = fc.oneof(
  { weight: 10, arbitrary: fc.integer({ min: 0, max: 60 }) },
  { weight: 8, arbitrary: fc.integer({ min: 60, max: 2500 }) },
  { weight: 2, arbitrary: fc.integer({ min: 2500, max: 12_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 12_000, max: 45_000 }) }
)
const place = fc.nat({ max: 4 })
/** Which of the tokens that were issued, counted from the latest. */
const back = fc.nat({ max: 5 })

function earlier({ tokens }: Fleet, steps: number): Token | undefined {
  return tokens[tokens.length - 1 - steps] ?? tokens[0]
}

const askNew = fc
  .tuple(
    pause,
    place,
    fc.oneof(
      { weight: 6, arbitrary: fc.constant('jwt' as const) },
      { weight: 3, arbitrary: fc.constant('bound' as const) },
      { weight: 3, arbitrary: fc.constant('opaque' as const) },
      { weight: 1, arbitrary: fc.constantFrom('short' as const, 'stranger' as const, 'audience' as const) }
    )
  )
  .map(([ms, to, kind]) => new Command(ms, `ask ${to} ${kind}`, (fleet) => fleet.ask(to, fleet.issue(kind))))

const askAgain = fc.tuple(pause, place, back, fc.boolean()).map(
  ([ms, to, steps, isReplayed]) =>
    new Command(ms, `ask ${to} again ${steps} ${isReplayed}`, async (fleet) => {
      const token = earlier(fleet, steps)
      if (token !== undefined) await fleet.ask(to, token, isReplayed)
    })
)

const revoke = fc
  .tuple(pause, place, back, fc.boolean(), fc.constantFrom('operator' as const, 'transmitter' as const))
  .map(
    ([ms, at, steps, isWhole, by]) =>
      new Command(ms, `revoke ${at} ${steps} ${isWhole} ${by}`, async (fleet) => {
        const token = earlier(fleet, steps)
        if (token === undefined) return
        const isJwt = token.server === fleet.jwts
        await fleet.revoke(at, isJwt ? by : 'operator', token, isJwt && isWhole)
      })
  )

/** Revokes, and soon asks every process. */
const revokeAndAsk = fc.tuple(pause, place, back, fc.integer({ min: 1, max: 4000 }), fc.boolean()).map(
  ([ms, at, steps, later, crashes]) =>
    new Command(ms, `revoke and ask ${at} ${steps} ${later} ${crashes}`, async (fleet) => {
      const token = earlier(fleet, steps) ?? fleet.issue('jwt')
      await fleet.revoke(at, 'operator', token, false)
      await fleet.world.pass(later)
      if (crashes) await fleet.crash(at)
      for (const [to] of fleet.processes.entries()) await fleet.ask(to, token)
    })
)

/** Revokes, lets the log lose it, waits until it is completed, and asks a process that starts then. */
const loseAndAsk = fc.tuple(pause, place, place, fc.integer({ min: 41_000, max: 45_000 })).map(
  ([ms, at, other, later]) =>
    new Command(ms, `lose and ask ${at} ${other} ${later}`, async (fleet) => {
      const token = fleet.issue('jwt')
      await fleet.revoke(at, 'operator', token, false)
      await fleet.world.pass(2500)
      loseWrites(fleet, 'log', 100_000)
      await fleet.world.pass(later)
      if (fleet.at(other) !== fleet.at(at)) await fleet.crash(other)
      await fleet.ask(other, token)
    })
)

/** Revokes while the log fails, and asks the others when it works again. */
const revokeInOutage = fc
  .tuple(pause, place, fc.constantFrom('down' as const, 'stalled' as const, 'slow' as const))
  .map(
    ([ms, at, kind]) =>
      new Command(ms, `revoke in outage ${at} ${kind}`, async (fleet) => {
        const token = fleet.issue('jwt')
        breakIt(fleet, 'log', kind)
        await fleet.revoke(at, 'operator', token, false)
        await fleet.world.pass(6000)
        healIt(fleet, 'log')
        await fleet.world.pass(18_500)
        for (const [to] of fleet.processes.entries()) await fleet.ask(to, token)
      })
  )

const fault = fc
  .tuple(pause, fc.constantFrom('jwts', 'opaque', 'store', 'log'), fc.constantFrom(...FAULTS))
  .map(([ms, where, kind]) => new Command(ms, `fault ${where} ${kind}`, (fleet) => breakIt(fleet, where as Part, kind)))

const heal = fc
  .tuple(pause, fc.constantFrom('jwts', 'opaque', 'store', 'log'))
  .map(([ms, where]) => new Command(ms, `heal ${where}`, (fleet) => healIt(fleet, where as Part)))

const lose = fc
  .tuple(pause, fc.constantFrom('store', 'log'), fc.constantFrom(0, 50, 1000, 100_000))
  .map(
    ([ms, where, lost]) =>
      new Command(ms, `lose ${where} ${lost}`, (fleet) => loseWrites(fleet, where as 'store' | 'log', lost))
  )

function loseWrites(fleet: Fleet, where: 'store' | 'log', milliseconds: number): void {
  fleet.tell(`Another server takes the place of the ${where}, without the writes of the last ${milliseconds} ms.`)
  fleet[where].lose(milliseconds)
}

/** Uses a proof, breaks the store, and uses the proof again at another process. */
const replayInOutage = fc.tuple(pause, place, fc.constantFrom('down' as const, 'stalled' as const)).map(
  ([ms, to, kind]) =>
    new Command(ms, `replay in outage ${to} ${kind}`, async (fleet) => {
      const token = fleet.issue('bound')
      await fleet.ask(to, token)
      await fleet.world.pass(300)
      breakIt(fleet, 'store', kind)
      await fleet.world.pass(20)
      await fleet.ask(to + 1, token, true)
    })
)

const crash = fc.tuple(pause, place).map(([ms, at]) => new Command(ms, `crash ${at}`, (fleet) => fleet.crash(at)))

const jump = fc
  .tuple(pause, place, fc.constantFrom(-8, -3, 3, 8))
  .map(([ms, at, by]) => new Command(ms, `jump ${at} ${by}`, (fleet) => fleet.jump(at, by)))

const rotate = fc
  .tuple(pause, fc.constantFrom('announce', 'use', 'publish', 'withdraw'))
  .map(([ms, how]) => new Command(ms, `rotate ${how}`, (fleet) => rotateKeys(fleet, how)))

/** Withdraws a key, lets a process learn it from a token with the next key, and sends a token of the old key again. */
const withdrawAndAsk = fc.tuple(pause, place, fc.integer({ min: 26_000, max: 32_000 })).map(
  ([ms, to, later]) =>
    new Command(ms, `withdraw and ask ${to} ${later}`, async (fleet) => {
      const old = fleet.issue('jwt')
      await fleet.ask(to, old)
      await fleet.world.pass(100)
      for (const how of ['announce', 'withdraw']) rotateKeys(fleet, how)
      await fleet.world.pass(later)
      await fleet.ask(to, fleet.issue('jwt'))
      await fleet.world.pass(6100)
      await fleet.ask(to, old)
    })
)

function rotateKeys(fleet: Fleet, how: string): void {
  const { jwts } = fleet
  if (how === 'withdraw') {
    if (jwts.withdraw()) fleet.tell(`${jwts.origin} withdraws its oldest key.`)
    return
  }
  if (how !== 'publish') jwts.addKey()
  if (how !== 'use') jwts.publish()
  const what = how === 'publish' ? 'publishes its keys' : `signs with ${jwts.signingKey.kid}`
  fleet.tell(`${jwts.origin} ${what}${how === 'use' ? ', which it has not published' : ''}.`)
}

const end = fc.tuple(pause, back).map(
  ([ms, steps]) =>
    new Command(ms, `end ${steps}`, (fleet) => {
      const token = earlier(fleet, steps)
      if (token?.server !== fleet.opaque || token.deactivatedAt !== undefined) return
      fleet.tell(`The authorization server ends ${token.name}.`)
      fleet.opaque.active.delete(token.text)
      token.deactivatedAt = fleet.world.time
    })
)

const flood = fc
  .tuple(pause, place, fc.constantFrom('kids' as const, 'opaque' as const), fc.constantFrom(3, 12, 60))
  .map(
    ([ms, to, kind, count]) => new Command(ms, `flood ${to} ${kind} ${count}`, (fleet) => fleet.flood(to, kind, count))
  )

/** Many events of a transmitter about different users, to fill its share; then the operator revokes. */
const events = fc.tuple(pause, place, fc.constantFrom(8, 20, 30)).map(
  ([ms, at, count]) =>
    new Command(ms, `events ${at} ${count}`, async (fleet) => {
      await fleet.sendEvents(at, count)
      await fleet.revoke(at, 'operator', earlier(fleet, 0) ?? fleet.issue('jwt'), false)
    })
)

type Part = 'jwts' | 'opaque' | 'store' | 'log'

function breakIt(fleet: Fleet, where: Part, kind: Fault): void {
  fleet.tell(`${NAMES[where]} is ${kind}.`)
  fleet[where].trouble.begin(kind, fleet.world.time)
}

export function healIt(fleet: Fleet, where: Part): void {
  if (fleet[where].trouble.fault === undefined) return
  fleet.tell(`${NAMES[where]} is well again.`)
  fleet[where].trouble.end(fleet.world.time)
}

const NAMES: Readonly<Record<Part, string>> = {
  jwts: 'https://jwts.example',
  opaque: 'https://opaque.example',
  store: 'The store',
  log: 'The log'
}

export const PARTS = Object.keys(NAMES) as readonly Part[]

const ALL: fc.Arbitrary<fc.AsyncCommand<Model, Fleet>>[] = [
  askNew,
  askNew,
  askAgain,
  askAgain,
  revoke,
  revokeAndAsk,
  revokeInOutage,
  loseAndAsk,
  fault,
  fault,
  heal,
  heal,
  lose,
  crash,
  jump,
  rotate,
  withdrawAndAsk,
  end,
  flood,
  replayInOutage,
  events
]

/** @param replayPath of a shrunk run */
export function commands(replayPath?: string): fc.Arbitrary<Iterable<fc.AsyncCommand<Model, Fleet>>> {
  return fc.commands(ALL, { maxCommands: 24, size: 'max', ...(replayPath !== undefined && { replayPath }) })
}
