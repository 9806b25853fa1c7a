/**
 * What may happen in a simulation, and what must not. The rules are those of docs/reliability.md: never a wrong yes, never a
 * wrong no, a 503 only with an excuse, and revocations and proofs that hold. They read what the simulated world knows, never
 * what the package says about itself.
 */
import type { Answer, Ask, Fleet, Process, Revocation, Token } from './fleet.js'
import { ROOM } from './fleet.js'

/** Something that must not happen has happened. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** Seconds of `clockTolerance`, and for which a proof is fresh, before and after its `iat`. */
const TOLERANCE = 30
const PROOF = { after: 60, before: 10 }

/** Milliseconds in which each process heeds a revocation that the log holds: a poll, and the delays of a healthy engine. */
const HEEDED_WITHIN = 2000
/** Milliseconds after trouble with the log until it is read again: the deadline of one call, and a poll. */
const READ_AGAIN_WITHIN = 8000
/** Milliseconds after trouble with the log until it has what processes hold, and all have read it. */
const APPENDED_WITHIN = 18_000
/** Milliseconds after which a loss, which may have happened in an outage, is surely completed. */
const LOSS_IS_LATE = 90_000
/** Milliseconds in which processes complete a log that has lost entries. */
const COMPLETED_WITHIN = 40_000
/** Milliseconds for which an answer about an opaque token may count, with clocks that differ. */
const ANSWER_COUNTS = 60_000
/** Milliseconds after which a document from another process, whose clock may differ, is surely older than ours. */
const CLOCKS_DIFFER = 25_000
/** Milliseconds until trouble with an authorization server is forgotten: the longest backoff, and one attempt. */
const BACKOFF = 40_000
/** Milliseconds for which a key counts as young. */
const YOUNG = 42_000
/** Milliseconds for which a key that was not published may still count as absent. */
const ABSENT = 30_000

export class Judge {
  /** @returns why the answer is wrong; undefined if it is right */
  answer(fleet: Fleet, ask: Ask, { status, reason }: Answer): string | undefined {
    if (status === 200) return this.granted(fleet, ask)
    if (status === 401) return this.refused(fleet, ask, reason)
    // 500: the server's answers are not those of an authorization server, such as metadata of another issuer.
    if (status === 503 || status === 429 || status === 500) return this.unavailable(fleet, ask)
    return `${status} is not an answer to such a request`
  }

  /** Judges a revocation that found no room. */
  full(fleet: Fleet, { by }: Revocation): string | undefined {
    const { log, revocations } = fleet
    const others = revocations.filter((one) => one.by === 'operator').length
    const isExcused = by !== 'operator' || others > 2 || log.trouble.wasAfter(0) || log.losses.length > 0
    return isExcused ? undefined : 'the operator finds no room, although an eighth of it is reserved'
  }

  private granted(fleet: Fleet, ask: Ask): string | undefined {
    const { token, process, proof, clock, startedAt } = ask
    const { world, store } = fleet
    if (!token.isReal) return 'no process may accept it'
    if (clock.least >= token.exp + TOLERANCE) return 'it has expired'
    if (token.boundTo !== undefined && proof === undefined) return 'it is bound to a key, and came without a proof'
    const revocation = fleet.revocations.find((one) => mustHeed(fleet, one, ask))
    if (revocation !== undefined) return `it was revoked at ${seconds(revocation.askedAt)}`
    const { key, deactivatedAt } = token
    if (key?.withdrawnAt !== undefined && process.keysAt < Number.POSITIVE_INFINITY) {
      const knows = process.keysAt > key.withdrawnAt + CLOCKS_DIFFER && !process.kids.has(key.kid)
      if (knows && !ask.hadKey && startedAt > process.keysAt + 6000)
        return `its key was withdrawn at ${seconds(key.withdrawnAt)}`
    }
    if (deactivatedAt !== undefined && startedAt > deactivatedAt + ANSWER_COUNTS)
      return `its authorization server ended it at ${seconds(deactivatedAt)}`
    if (proof === undefined) return undefined
    const isLost = store.losses.some(({ at }) => at >= (proof.granted[0] ?? 0))
    if (proof.granted.length > 0 && !isLost) return 'its proof was used before'
    proof.granted.push(startedAt)
    return world.time < startedAt ? 'time went backwards' : undefined
  }

  private refused(fleet: Fleet, ask: Ask, reason: string): string | undefined {
    const covering = reason === 'revoked' ? fleet.revocations.filter((one) => mayCover(one, ask.token)) : []
    // If several cover the token, the refusal does not show which one the process heeds.
    if (covering.length === 1) ask.process.heeded.add(covering[0] as Revocation)
    return badness(fleet, ask) === undefined ? 'nothing is wrong with it' : undefined
  }

  private unavailable(fleet: Fleet, ask: Ask): string | undefined {
    if (badness(fleet, ask) !== undefined) return undefined
    return excuse(fleet, ask) === undefined ? 'everything that it needs is there' : undefined
  }
}

/** True if a token may be among the revoked ones. */
function mayCover(revocation: Revocation, token: Token): boolean {
  return names(revocation, token) && token.iat < revocation.before.maybe
}

function names({ jti, subject }: Revocation, token: Token): boolean {
  return jti === undefined
    ? subject === token.subject && token.server.origin.includes('jwts') === true
    : jti === token.jti
}

/** True if this process must know the revocation, and the token is surely among the revoked ones. */
function mustHeed(fleet: Fleet, revocation: Revocation, { token, process, startedAt, heeded }: Ask): boolean {
  if (!names(revocation, token) || token.iat >= revocation.before.surely) return false
  if (heeded.has(revocation)) return true
  const { heldAt, ackedAt } = revocation
  const takenAt = ackedAt ?? heldAt
  if (takenAt === undefined) return false
  if (revocation.process === process && takenAt <= startedAt) return true
  if (isFull(fleet)) return false
  if (ackedAt === undefined) return isAppendedLater(fleet, revocation, startedAt)
  const { log } = fleet
  const loss = log.losses.findLast(({ at }) => at >= ackedAt)
  if (loss !== undefined) {
    // A loss may have taken it: then it comes back if the process that took it lives on.
    const isCompleted =
      revocation.process.isAlive && !log.trouble.wasAfter(loss.at) && startedAt > loss.at + COMPLETED_WITHIN
    if (log.losses.some(({ at, since }) => at >= ackedAt && since <= ackedAt + 1000) && !isCompleted) return false
  }
  if (process.startedAt > ackedAt && loss === undefined) return true
  const isReadable = !log.trouble.wasAfter(startedAt - READ_AGAIN_WITHIN)
  return (
    isReadable && startedAt > ackedAt + HEEDED_WITHIN && (loss === undefined || startedAt > loss.at + HEEDED_WITHIN)
  )
}

/** True if the process that took the revocation while the log failed has surely appended it, and the others have read it. */
function isAppendedLater({ log }: Fleet, { process, heldAt = 0 }: Revocation, time: number): boolean {
  // A log that another server took over is completed later than one that failed.
  const isLost = log.losses.some(({ at }) => at >= heldAt - LOSS_IS_LATE)
  return process.isAlive && !isLost && time > heldAt + APPENDED_WITHIN && !log.trouble.wasAfter(time - APPENDED_WITHIN)
}

/** True if processes may have no room for the revocations of others. */
function isFull({ revocations, log }: Fleet): boolean {
  return log.isNearlyFull || new Set(revocations.map(({ jti, subject }) => jti ?? subject)).size > ROOM / 2
}

/** Why the token, or its proof, may be refused with 401; undefined for a good one. */
function badness(fleet: Fleet, { token, proof, process, clock, startedAt }: Ask): string | undefined {
  if (!token.isReal) return 'it is not a token for this API'
  if (clock.most >= token.exp + TOLERANCE) return 'it may have expired'
  if (fleet.revocations.some((one) => mayCover(one, token))) return 'it may be revoked'
  if (token.deactivatedAt !== undefined) return 'its authorization server ended it'
  const { key } = token
  if (key !== undefined) {
    const { publishedAt, withdrawnAt } = key
    if (withdrawnAt !== undefined) return 'its key was withdrawn'
    if (publishedAt === undefined || startedAt < publishedAt + ABSENT) return 'its key is not published, or was not'
    if (token.iat * 1000 < publishedAt) return 'it is older than its published key'
  }
  if (proof === undefined) return undefined
  if (proof.sent.length > 1) return 'its proof was sent before'
  const isStale = clock.most > proof.iat + PROOF.after || clock.least < proof.iat - PROOF.before
  return isStale ? 'its proof is not fresh' : process.isAlive ? undefined : 'its process is gone'
}

/** What excuses a 503 or 429 for a good token. */
function excuse(fleet: Fleet, { token, proof, process, startedAt, hadKey }: Ask): string | undefined {
  const { store, log, jwts, crashedAt } = fleet
  if (log.trouble.wasAfter(process.startedAt) && log.trouble.wasAfter(startedAt - READ_AGAIN_WITHIN)) return 'the log'
  if (proof !== undefined && store.trouble.wasAfter(startedAt - 3000)) return 'the store'
  if (hadKey) return undefined
  if (process.jumpedAt > startedAt - BACKOFF) return 'a clock'
  if (token.server.trouble.wasAfter(startedAt - BACKOFF)) return 'the authorization server'
  if (token.server !== jwts) return process.floodedAt > startedAt - 5000 ? 'a flood' : undefined
  if (crashedAt > startedAt - BACKOFF || store.trouble.wasAfter(startedAt - 5000)) return 'another process'
  const { publishedAt = Number.POSITIVE_INFINITY } = token.key ?? {}
  return publishedAt > startedAt - YOUNG && publishedAt > 0 ? 'a young key' : undefined
}

/** What must hold of a process once everything has been well for a while. */
export function wrongInCalm(fleet: Fleet, process: Process): string | undefined {
  const { issuers, log, shared } = process.api.health()
  // A failed attempt stays in the health of a document until the next attempt, which is not due while the document is fresh.
  // With keys, metadata are not needed.
  const isDue = issuers.some(({ issuer, metadata, jwks }) => {
    const { error, freshFor = 0 } = issuer === fleet.jwts.origin ? jwks : metadata
    return error !== undefined && freshFor <= 0
  })
  const isFullHere = isFull(fleet)
  const isWell = !isDue && issuers.every(({ status }) => status !== 'failed') && shared?.status === 'ok'
  if (!isWell || (log?.status !== 'ok' && !isFullHere))
    return `${process.name} is not well: ${JSON.stringify({ issuers, log, shared })}`
  const { revocations } = process.api.stats()
  if (revocations.entries > ROOM)
    return `${process.name} remembers ${revocations.entries} revocations, with room for ${ROOM}`
  const pending = fleet.world.pendingOf(process)
  return pending > MOST_PENDING
    ? `${process.name} has ${pending} timers and calls under way, although nobody asks it`
    : undefined
}

/** Timers and calls of a process that nobody asks: it reads the log. */
const MOST_PENDING = 6

/** Maximum calls of one process in 30 s, retries included: looks, renewals, and attempts after failures. */
const MOST_CALLS = { jwks: 32, metadata: 64 }

export function wrongCalls({ jwts, opaque }: Fleet): string | undefined {
  for (const { calls, origin } of [jwts, opaque]) {
    for (const kind of ['jwks', 'metadata'] as const) {
      const byProcess = new Map<string, number[]>()
      for (const call of calls)
        if (call.kind === kind) byProcess.set(call.by, [...(byProcess.get(call.by) ?? []), call.at])
      for (const [by, times] of byProcess)
        for (const [i, at] of times.entries())
          if ((times[i + MOST_CALLS[kind]] ?? Number.POSITIVE_INFINITY) < at + 30_000)
            return `${by} asks ${origin} for ${kind} more than ${MOST_CALLS[kind]} times in 30 s`
    }
  }
  return undefined
}

function seconds(time: number): string {
  return `${(time / 1000).toFixed(3)} s`
}
