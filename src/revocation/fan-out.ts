/**
 * Sends revocations to every process of this API, and receives theirs. A process that joins greets the others
 * ("hello"), and they tell it their revocations. Each process greets again every minute with a digest of its
 * revocations, so that messages lost on a broken connection are sent again.
 *
 * A repeated, late or reordered message changes nothing (see `revocations.ts`), and a process passes on received
 * revocations only when asked. Best effort: while the channel is down, each process keeps its revocations, reports the
 * failure, and tells the others when the channel works again. Does NOT persist anything: revocations are lost when the
 * last process ends. Does NOT encrypt or authenticate messages: the channel does (`shared.ts`).
 */
import { randomUUID } from 'node:crypto'
import { withDeadline } from '../base/awaitable.js'
import { createTimedCache } from '../base/cache.js'
import type { SealedChannel } from '../sharing/shared.js'
import { type Content, type Greeting, inChunks, type Message, readMessage } from './fan-out-messages.js'
import type { Revocation } from './revocation.js'
import { type Revocations, RevocationsFull, type RevokedBy } from './revocations.js'

/** Whether revocations of other processes arrive here, and ours arrive there. */
export interface ChannelHealth {
  readonly status: 'ok' | 'degraded'
  /** The last failure; undefined while the channel works. */
  readonly error: string | undefined
}

export interface FanOut {
  /**
   * Sends revocations and their source to the other processes. Never rejects: if sending fails, they are sent later.
   */
  publish(revocations: readonly Revocation[], by: RevokedBy): Promise<void>
  /** Resolves when another process has sent its revocations, or after one second without an answer. Never rejects. */
  ready(): Promise<void>
  health(): ChannelHealth
  close(): Promise<void>
}

export interface FanOutMeans {
  /** A channel that only processes with `shared.secret` can read and write. */
  readonly channel: SealedChannel
  /** The identifier of this API: another API on the same channel has its own revocations. */
  readonly resource: string
  readonly revocations: Revocations
  /** Seconds since the epoch. */
  readonly now: () => number
  /** Seconds the channel may take for one message. */
  readonly deadline: number
  readonly warn: (message: string) => void
}

/** Seconds between two greetings, ± 10 % so that a fleet spreads out. */
const ASK_EVERY = 60

/**
 * Maximum seconds until a process answers a greeting. The delay is random; a later answer leaves out entries that
 * others sent meanwhile.
 */
const ANSWER_WITHIN = 0.25

/** Seconds that `ready()` waits for an answer. */
const WAIT_FOR_ANSWER = 1

/** Seconds after a failure until the next attempt, doubled each time. */
const RETRY = { first: 1, most: 30 }

/** Seconds between two warnings about messages of strangers: anyone who can write on the channel could fill a log. */
const WARN_EVERY = 60

/** Seconds by which a greeting may be late, or by which its sender's clock may differ. */
const GREETING_LASTS = 60

const MAX_GREETINGS = 1000

export function createFanOut({ channel, resource, revocations, now, deadline, warn }: FanOutMeans): FanOut {
  const from = randomUUID()
  let error: string | undefined
  /** Bytes in use when an entry of another process found no room; undefined before that. */
  let fullAt: number | undefined
  let isOddTold = false
  /** Attempts in a row that failed. */
  let failures = 0
  let meeting = false
  /** Whether our last greeting was echoed to us: the only sign that the subscription works. */
  let isHeard = true
  let isDeaf = false
  const greetings = createTimedCache<true>(MAX_GREETINGS)
  /** True if entries may not have reached the others. */
  let isBehind = false
  let warnedAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let unsubscribe: (() => unknown) | undefined
  /** The scheduled answer, and the entries that others sent since it was scheduled. */
  let answer: { readonly timer: NodeJS.Timeout; readonly said: Set<string>; owed: boolean } | undefined
  let join = (): void => undefined
  const joined = new Promise<void>((resolve) => {
    join = resolve
  })

  const late = (): Error => new Error(`it did not answer within ${deadline} s`)
  const send = async (content: Content): Promise<void> => {
    const message = JSON.stringify({ resource, from, ...content })
    // An async function, so that a synchronous throw of the channel becomes a rejection too.
    const publish = async (): Promise<unknown> => channel.publish(message)
    await withDeadline(publish(), deadline, late)
  }
  /** Sends all entries, the operator's first: receivers always have room for them. @param said entries to leave out */
  const sendAll = async (said?: ReadonlySet<string>): Promise<void> => {
    const isUnsaid = (one: Revocation): boolean => said?.has(JSON.stringify(one)) !== true
    const messages = (['operator', 'sender'] as const).flatMap((by) => {
      const entries = revocations.entries(by).filter(isUnsaid)
      return entries.length === 0 ? [] : inChunks(entries).map((chunk) => ({ entries: chunk, by }))
    })
    // Sent even with nothing to report, so that a process that joins stops waiting.
    const last = messages.pop() ?? { entries: [], by: 'sender' }
    for (const one of messages) await send({ type: 'known', ...one, last: false })
    await send({ type: 'known', ...last, last: true })
  }

  const failed = (cause: unknown): void => {
    const before = error
    error = `the channel failed: ${cause instanceof Error ? cause.message : String(cause)}`
    if (before === undefined) warn(`${error}. Revocations may not reach the other processes, nor theirs this process`)
    isBehind = true
  }
  const worked = (): void => {
    error = undefined
    failures = 0
  }

  /** Subscribes if necessary, sends entries that could not be sent earlier, and greets the others. */
  const meet = async (): Promise<void> => {
    if (meeting) return
    meeting = true
    try {
      if (!isHeard && unsubscribe !== undefined) {
        if (!isDeaf) warn('nothing arrives on the channel, not even the messages of this process: subscribing again')
        isDeaf = true
        const end = unsubscribe
        unsubscribe = undefined
        // The old subscription ends before the new one begins: on one connection the last command wins.
        await withDeadline(quietly(end), deadline, late)
      }
      const joins = unsubscribe === undefined
      if (joins) {
        const subscribe = async (): Promise<() => unknown> => channel.subscribe(hear, strange)
        const under = subscribe()
        // A late subscription is kept and used: the next attempt would only make the same.
        under.then(keep, () => undefined)
        await withDeadline(under, deadline, late)
      }
      if (isBehind) {
        isBehind = false
        await sendAll()
      }
      isHeard = false
      await send({ type: 'hello', digest: revocations.digest(), joins, id: randomUUID(), at: now() })
      worked()
    } catch (cause) {
      // The greeting was not sent, so its missing echo proves nothing.
      isHeard = true
      failures++
      failed(cause)
    }
    meeting = false
    again()
  }
  const keep = (end: () => unknown): void => {
    if (closed || unsubscribe !== undefined) void quietly(end)
    else unsubscribe = end
  }
  const again = (): void => {
    clearTimeout(timer)
    if (closed) return
    const wait = isBehind
      ? Math.min(RETRY.most, RETRY.first * 2 ** Math.max(0, failures - 1))
      : ASK_EVERY * (0.9 + Math.random() / 5)
    timer = setTimeout(() => void meet(), 1000 * wait)
    timer.unref()
  }

  const hear = (text: string): void => {
    const message = closed ? undefined : readMessage(text)
    if (message === undefined || message.resource !== resource) return
    if (message.from !== from) heed(message)
    else if (message.type === 'hello') {
      isHeard = true
      isDeaf = false
    }
  }
  const strange = (): void => {
    const time = performance.now() / 1000
    if (closed || time < warnedAt + WARN_EVERY) return
    warnedAt = time
    warn('a message on `shared.channel` was not made with `shared.secret`, and was dropped')
  }
  const heed = (message: Message): void => {
    if (message.type === 'hello') {
      if (!isNew(message)) return
      if (message.joins || message.digest !== revocations.digest()) owe(message.joins)
      return
    }
    remember(message.entries, message.by === 'operator' ? 'operator' : 'sender')
    if (message.type !== 'known') return
    for (const one of message.entries) answer?.said.add(JSON.stringify(one))
    if (!message.last) return
    if (answer !== undefined) answer.owed = false
    join()
  }
  const isNew = ({ id, at }: Greeting): boolean => {
    const time = now()
    if (!(Math.abs(time - at) <= GREETING_LASTS) || greetings.get(id, time)) return false
    greetings.set(id, true, time, time + 2 * GREETING_LASTS)
    return true
  }
  /** One at a time: an entry that we do not understand, such as one of another release, must not block the others. */
  const remember = (entries: readonly Revocation[], by: RevokedBy): void => {
    for (const one of entries) {
      try {
        revocations.revoke([one], by)
      } catch (cause) {
        if (cause instanceof RevocationsFull) full(cause)
        else odd(cause)
      }
    }
  }
  /** Once there is room again, the next answer repeats the missed entries. */
  const isFull = (): boolean => fullAt !== undefined && revocations.stats().bytes >= fullAt
  const full = ({ message }: Error): void => {
    if (!isFull()) warn(`revocations of another process could not be stored: ${message}`)
    fullAt = revocations.stats().bytes
  }
  const odd = (cause: unknown): void => {
    if (!isOddTold) warn(`a revocation of another process is not understood and was ignored: ${String(cause)}`)
    isOddTold = true
  }

  const owe = (joins: boolean): void => {
    if (answer === undefined) {
      const reply = setTimeout(() => void tell(), 1000 * ANSWER_WITHIN * Math.random())
      reply.unref()
      answer = { timer: reply, said: new Set(), owed: joins }
      return
    }
    // The process that greets now did not hear the earlier messages.
    answer.said.clear()
    answer.owed ||= joins
  }
  const tell = async (): Promise<void> => {
    const { said, owed = false } = answer ?? {}
    answer = undefined
    if (!owed && revocations.entries().every((one) => said?.has(JSON.stringify(one)) === true)) return
    try {
      await sendAll(said)
    } catch (cause) {
      failed(cause)
      again()
    }
  }

  const met = meet()
  return {
    publish: async (entries, by) => {
      if (closed || entries.length === 0) return
      if (error !== undefined) {
        // The caller does not wait for a channel that is known to be down; the next attempt sends all entries.
        isBehind = true
        return
      }
      try {
        for (const chunk of inChunks(entries)) await send({ type: 'revoked', entries: chunk, by })
      } catch (cause) {
        failed(cause)
        again()
      }
    },
    ready: async () => {
      await met
      if (error === undefined)
        await withDeadline(joined, WAIT_FOR_ANSWER, () => new Error('no other process answered')).catch(() => undefined)
    },
    health: () => {
      const problem =
        error ??
        (isDeaf ? 'nothing arrives on the channel' : undefined) ??
        (isFull() ? 'there is no room for the revocations of other processes' : undefined)
      return { status: problem === undefined ? 'ok' : 'degraded', error: problem }
    },
    close: async () => {
      closed = true
      clearTimeout(timer)
      clearTimeout(answer?.timer)
      const end = unsubscribe
      unsubscribe = undefined
      // With a deadline: a connection that is gone may never answer, and `close()` must go on.
      if (end !== undefined) await withDeadline(quietly(end), deadline, late).catch(() => undefined)
    }
  }
}

/** Ends a subscription. A failure to end it is ignored, because its messages are ignored too. */
async function quietly(end: () => unknown): Promise<void> {
  try {
    await end()
  } catch {
    // Nothing depends on the result.
  }
}

export interface RevokeMeans {
  readonly revocations: Revocations
  readonly fanOut: FanOut | undefined
}

/**
 * Revokes in this process and in the others.
 *
 * @throws {TypeError} an entry is invalid; then none is applied
 * @throws {RevocationsFull} the entries that had room are applied and sent to the others
 */
export async function revokeEverywhere(
  list: readonly Revocation[],
  by: RevokedBy,
  { revocations, fanOut }: RevokeMeans
): Promise<void> {
  try {
    const news = revocations.revoke(list, by)
    await fanOut?.publish(news, by)
  } catch (error) {
    if (error instanceof RevocationsFull) await fanOut?.publish(error.news, by)
    throw error
  }
}
