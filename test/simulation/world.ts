/**
 * A world without real time or chance: virtual clocks, timers and messages, driven by one seed. The package runs in it
 * through the port of `src/base/world.ts`.
 *
 * One event runs at a time, and all promises that follow from it settle before the next one. So the process that an event
 * belongs to is known at each moment, and a crashed process stays silent.
 *
 * Events with a window (messages) may run in any order that their windows allow: fast-check's scheduler chooses.
 */
import type { Scheduler } from 'fast-check'
import type { World } from '../../src/base/world.js'
import { nextTurn } from './guard.js'

/** Seconds since the epoch when a simulation begins. */
export const EPOCH = 1_800_000_000

/** Whoever events belong to: a process, or a machine of the network that never crashes. */
export interface Owner {
  readonly name: string
  readonly isAlive: boolean
  /** Seconds by which its wall clock is ahead. */
  readonly ahead: number
}

interface Event {
  readonly order: number
  readonly owner: Owner
  /** Milliseconds of virtual time: earliest and latest. */
  readonly from: number
  readonly to: number
  readonly label: string
  readonly run: () => void
  isScheduled: boolean
  isOver: boolean
}

/** Milliseconds: earliest and latest delay. */
export type Delay = readonly [least: number, most: number]

export const NETWORK: Owner = { name: 'network', isAlive: true, ahead: 0 }

export class SimulatedWorld {
  /** Milliseconds since the simulation began. */
  time = 0
  /** Events that have run. */
  steps = 0
  private readonly seed: number
  private readonly scheduler: Scheduler
  private events: Event[] = []
  private order = 0
  private owner: Owner = NETWORK
  private picked: Event | undefined
  private trace = 0x811c9dc5
  private readonly dice = new Map<Owner, () => number>()

  constructor(seed: number, scheduler: Scheduler) {
    this.seed = seed
    this.scheduler = scheduler
  }

  /** The port for the package. */
  readonly port: World = {
    now: () => this.clock(this.owner),
    monotonic: () => this.time,
    random: () => this.random(this.owner),
    bytes: (length) => Buffer.from(Array.from({ length }, () => Math.floor(256 * this.random(this.owner)))),
    id: () => `${this.owner.name}-${Math.floor(2 ** 48 * this.random(this.owner)).toString(16)}`,
    after: (milliseconds, call) => {
      const delay = Math.max(1, milliseconds)
      const event = this.event(this.owner, [delay, delay], 'timer', call)
      return { unref: () => undefined, event } as { unref(): unknown }
    },
    cancel: (timer) => {
      const { event } = (timer ?? {}) as { event?: Event }
      if (event !== undefined) this.remove(event)
    },
    soon: (call) => void this.event(this.owner, [0, 0], 'turn', call)
  }

  /** Seconds since the epoch by the wall clock of the owner. */
  clock(owner: Owner): number {
    return EPOCH + this.time / 1000 + owner.ahead
  }

  /** Plans an event of the owner. It is dropped if the owner has crashed by then. */
  event(owner: Owner, [least, most]: Delay, label: string, run: () => void): Event {
    const from = this.time + least
    const event: Event = {
      order: this.order++,
      owner,
      from,
      to: Math.max(from, this.time + most),
      label,
      run,
      isScheduled: false,
      isOver: false
    }
    this.events.push(event)
    return event
  }

  /** Runs something as this owner, with all promises that follow from it. */
  async as(owner: Owner, label: string, run: () => void): Promise<void> {
    this.note(`${owner.name} ${label}`)
    this.owner = owner
    run()
    await nextTurn()
    this.owner = NETWORK
  }

  /** Lets virtual time pass, with all events that are due. */
  async pass(milliseconds: number): Promise<void> {
    let isOver = false
    this.event(NETWORK, [milliseconds, milliseconds], 'pass', () => {
      isOver = true
    })
    while (!isOver) await this.step()
  }

  /** Number of the owner's events that are still to come. */
  pendingOf(owner: Owner): number {
    return this.events.filter((event) => event.owner === owner).length
  }

  /** Adds a text to the trace, whose digest two equal runs have in common. */
  note(text: string): void {
    let { trace } = this
    for (let i = 0; i < text.length; i++) trace = Math.imul(trace ^ text.charCodeAt(i), 0x01000193)
    this.trace = trace
  }

  get digest(): string {
    return (this.trace >>> 0).toString(16).padStart(8, '0')
  }

  private async step(): Promise<void> {
    const event = await this.choose()
    this.remove(event)
    this.time = Math.max(this.time, event.from)
    if (!event.owner.isAlive) return
    this.steps++
    await this.as(event.owner, `${event.label} ${this.time}`, event.run)
  }

  /** Any event whose window has begun when the first window ends. */
  private async choose(): Promise<Event> {
    let end = Number.POSITIVE_INFINITY
    for (const { to } of this.events) if (to < end) end = to
    const due = this.events.filter(({ from }) => from <= end)
    if (due.length === 1) return due[0] as Event
    for (const event of due) this.schedule(event)
    for (;;) {
      this.picked = undefined
      await this.scheduler.waitOne()
      while (this.picked === undefined) await READY
      const event = this.picked as Event
      if (!event.isOver && event.from <= end) return event
      if (!event.isOver) this.schedule(event)
    }
  }

  private schedule(event: Event): void {
    if (event.isScheduled) return
    event.isScheduled = true
    void this.scheduler.schedule(READY).then(() => {
      event.isScheduled = false
      this.picked = event
    })
  }

  private remove(event: Event): void {
    if (event.isOver) return
    event.isOver = true
    this.events.splice(this.events.indexOf(event), 1)
  }

  private random(owner: Owner): number {
    const roll = this.dice.get(owner) ?? createDice(this.seed, owner.name)
    this.dice.set(owner, roll)
    return roll()
  }
}

const READY = Promise.resolve()

/** Mulberry32: each owner has numbers of its own, so that leaving out a command changes as little as possible. */
function createDice(seed: number, name: string): () => number {
  let state = seed
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
