/**
 * The store and the log that processes share, as one engine such as Redis keeps them: calls and answers are messages, and
 * the engine fails, loses its last writes, or is replaced by another server.
 */
import type { Cache, Log, LogAppending, LogPage, LogReading, OnceStore } from '../../src/sharing/stores.js'
import { Trouble } from './authorization-server.js'
import { type Delay, NETWORK, type Owner, type SimulatedWorld } from './world.js'

interface Kept {
  readonly value: string
  /** Milliseconds of virtual time. */
  readonly until: number
  readonly writtenAt: number
}

interface LogLine {
  readonly position: string
  readonly value: string
  readonly writtenAt: number
}

class LogFull extends Error {
  override readonly name = 'LogFull'
}

/** One side of the engine: the store, or the log. */
class Side {
  readonly trouble = new Trouble()
  /** When writes were lost last, and since when they had been made, in milliseconds of virtual time. */
  readonly losses: { readonly at: number; readonly since: number }[] = []
  protected readonly world: SimulatedWorld

  constructor(world: SimulatedWorld) {
    this.world = world
  }

  private get delay(): Delay {
    return this.trouble.fault === 'slow' ? [50, 700] : [0, 8]
  }

  /** Carries a call to the engine and its answer back. */
  protected call<T>(owner: Owner, label: string, run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.world.event(NETWORK, this.delay, label, () => {
        const { fault } = this.trouble
        if (fault === 'stalled') return
        const fails = fault !== undefined && fault !== 'slow'
        let settle: () => void
        try {
          if (fails) throw new Error('the engine is down')
          const value = run()
          settle = () => resolve(value)
        } catch (error) {
          settle = () => reject(error)
        }
        this.world.event(owner, this.delay, `${label} done`, settle)
      })
    })
  }
}

export class StoreEngine extends Side {
  private readonly entries = new Map<string, Kept>()

  /** What one process calls. */
  for(owner: Owner): Cache & OnceStore {
    return {
      get: (key) => this.call(owner, 'get', () => this.live(key)?.value),
      set: (key, value, ttl) => this.call(owner, 'set', () => this.write(key, value, ttl)),
      delete: (key) => this.call(owner, 'delete', () => this.entries.delete(key)),
      add: (key, ttl) =>
        this.call(owner, 'add', () => {
          if (this.live(key) !== undefined) return false
          this.write(key, '', ttl)
          return true
        })
    }
  }

  /** Another server takes the place of this one, without the writes of the last milliseconds. */
  lose(milliseconds: number): void {
    const since = this.world.time - milliseconds
    this.losses.push({ at: this.world.time, since })
    for (const [key, { writtenAt }] of this.entries) if (writtenAt >= since) this.entries.delete(key)
  }

  private live(key: string): Kept | undefined {
    const kept = this.entries.get(key)
    return kept !== undefined && this.world.time < kept.until ? kept : undefined
  }

  private write(key: string, value: string, ttl: number): void {
    const writtenAt = this.world.time
    this.entries.set(key, { value, until: writtenAt + 1000 * ttl, writtenAt })
  }
}

export class LogEngine extends Side {
  private lines: LogLine[] = []
  private serial = 0
  private last: string | undefined
  private incarnation = 1
  private readonly wakers = new Map<Owner, () => void>()
  private readonly room: number

  /** @param room entries that it may hold */
  constructor(world: SimulatedWorld, room: number) {
    super(world)
    this.room = room
  }

  /** True if it may refuse what a process appends for transmitters. */
  get isNearlyFull(): boolean {
    return this.lines.length > (this.room * 3) / 4
  }

  get length(): number {
    return this.lines.length
  }

  /** What one process calls. */
  for(owner: Owner): Log {
    return {
      append: (_name, value, how) => this.call(owner, 'append', () => this.append(value, how)),
      read: (_name, how) => this.call(owner, 'read', () => this.read(how)),
      wake: (_name, listener) =>
        this.call(owner, 'wake', () => {
          this.wakers.set(owner, listener)
          return () => this.wakers.delete(owner)
        })
    }
  }

  /** Another server takes the place of this one, without the writes of the last milliseconds. */
  lose(milliseconds: number): void {
    const since = this.world.time - milliseconds
    this.losses.push({ at: this.world.time, since })
    this.lines = this.lines.filter(({ writtenAt }) => writtenAt < since)
    this.last = this.lines.at(-1)?.position
    this.incarnation++
  }

  private append(value: string, { keep, reserve, dropTo }: LogAppending): string {
    const { time } = this.world
    const kept = this.lines.filter(
      ({ position, writtenAt }) =>
        time - writtenAt <= 1000 * keep && (dropTo === undefined || Number(position) > Number(dropTo))
    )
    if (this.room - kept.length <= this.room * reserve) throw new LogFull('the simulated log is full')
    this.last = String(++this.serial)
    this.lines = [...kept, { position: this.last, value, writtenAt: time }]
    // A wake-up may be lost.
    for (const [owner, waken] of this.wakers)
      if (this.serial % 3 !== 0) this.world.event(owner, [0, 30], 'wake-up', waken)
    return this.last
  }

  private read({ after, first, limit, keep }: LogReading): LogPage {
    const { lines } = this
    const isOlder = (a: string, b: string): boolean => Number(a) < Number(b)
    const hasExpired = this.time0(keep)
    const isFirstGone =
      first !== undefined && !hasExpired && !lines.some(({ position }) => position === first) && lines.length >= 0
    const isLastGone = after !== undefined && (this.last === undefined || isOlder(this.last, after))
    return {
      entries: lines.filter(({ position }) => after === undefined || isOlder(after, position)).slice(0, limit),
      first: lines[0]?.position,
      length: lines.length,
      isWhole: !isLastGone && !isFirstGone,
      incarnation: String(this.incarnation)
    }
  }

  /** No entry of a simulation lives as long as `keep`. */
  private time0(keep: number): boolean {
    return this.world.time > 1000 * keep
  }
}
