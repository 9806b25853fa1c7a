/**
 * Writes times for people: "59 minutes", "expired 59 minutes ago". For text output only: JSON keeps the numbers.
 *
 * Does NOT decide anything: a token's times are checked in `jwt/claims.ts`.
 */

/** Seconds in each unit, largest first, with the shortest duration that is written in whole units of it. */
const UNITS: readonly (readonly [seconds: number, name: string, from: number])[] = [
  [86_400, 'day', 2 * 86_400],
  [3600, 'hour', 2 * 3600],
  [60, 'minute', 600]
]

/**
 * A duration in words, rounded down: `45 seconds`, `4 min 55 s`, `59 minutes`, `5 hours`, `12 days`.
 *
 * @param seconds not negative
 */
export function inWords(seconds: number): string {
  const whole = Math.floor(seconds)
  for (const [size, name, from] of UNITS) if (whole >= from) return counted(Math.floor(whole / size), name)
  if (whole < 60) return counted(whole, 'second')
  return whole % 60 === 0 ? counted(whole / 60, 'minute') : `${Math.floor(whole / 60)} min ${whole % 60} s`
}

function counted(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

/** A time in words: `59 minutes ago`, `in 4 min 55 s`. Both are seconds since the epoch. */
export function timeInWords(time: number, now: number): string {
  return time <= now ? `${inWords(now - time)} ago` : `in ${inWords(time - now)}`
}

/** The members of a refusal that tell about a time. */
export interface TimeRefusal {
  readonly reason: string
  readonly expected?: unknown
  readonly received?: unknown
}

/**
 * Describes why a time was refused: `expired 59 minutes ago`, `issued 4 min 55 s in this machine’s future`. The text
 * comes from the token, so log it only where the token's data may be logged.
 *
 * @param now seconds since the epoch, by the clock that refused
 * @returns undefined for a refusal that is not about a time
 */
export function timeRefusalInWords({ reason, expected, received }: TimeRefusal, now: number): string | undefined {
  if (typeof received !== 'number' || !Number.isFinite(received)) return undefined
  if (reason === 'expired') return when('expired', received, now)
  if (reason === 'proof_freshness') return when('proof made', received, now)
  if (reason !== 'not_yet_valid') return undefined
  if (!String(expected).startsWith('nbf')) return when('issued', received, now)
  return `becomes valid ${timeInWords(received, now)} by this machine’s clock`
}

function when(verb: string, time: number, now: number): string {
  if (time <= now) return `${verb} ${timeInWords(time, now)}`
  return `${verb} ${inWords(time - now)} in this machine’s future`
}
