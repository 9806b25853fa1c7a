/**
 * Tells the operator about refusals and failures while no log does: by the host's own log (Fastify, Koa), or by process
 * warnings. `logTo()` and the option `log: false` silence it; other listeners on the channels do not.
 *
 * | status | said |
 * |---|---|
 * | 500, 503 | once per issuer, reason and minute |
 * | below 500 | the first of each reason per hour, with the number since; at most {@link MAX_LINES} an hour |
 * | a request without a token | never: clients can cause it at any rate |
 * | an urgent warning, such as trust in the development issuer | once |
 * | a mistake in how the protection is mounted | once, when a request without a token shows it |
 *
 * Says nothing that comes from a token. All tables are bounded. Does NOT run for accepted requests.
 *
 * Tests: `test/server/voice.test.ts`.
 */
import { type Channel, channel } from 'node:diagnostics_channel'
import { isPromise } from '../base/awaitable.js'
import { type CredentialRules, readCredentials } from '../credentials.js'
import type { ResourceServerError } from '../errors/errors.js'
import { factsOf, inOneLine, sentenceOf } from '../errors/facts.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Issuers } from '../issuer/issuers.js'
import { splitJws } from '../jwt/compact.js'
import type { LogLine, ResourceRequest } from '../types.js'

/** Seconds for which a failure is not said again. */
const MINUTE = 60

/** Seconds for which a reason of a refusal is not said again. */
const HOUR = 3600

/** Maximum lines of refusals an hour, and of failures of issuers that are not configured a minute. */
const MAX_LINES = 20

/** Maximum reasons that are counted. The catalogue has fewer; an application's own errors may have any. */
const MAX_REASONS = 200

/** Maximum texts that are said once. This package has fewer; a host of the application may make up mistakes of its own. */
const MAX_ONCE = 8

export interface Voice {
  readonly refusal: (error: ResourceServerError, request: ResourceRequest) => void
  /** A warning of the start or of a document, which belongs to no request. Said once. */
  readonly warning: (message: string) => void
}

export interface VoiceContext {
  readonly resource: string
  /** Seconds since the epoch. */
  readonly now: () => number
  readonly credentialRules: CredentialRules
  /** Read when a failure is said: the issuers are created after the voice. */
  readonly issuers: () => Issuers
  /** Publishes a warning, which `logTo()` writes. */
  readonly warning: (message: string) => void
}

/** Channels without messages: `logTo()` subscribes to one of them while it logs every API, or this one. */
function logMarkers(resource: string): readonly [every: Channel, one: Channel] {
  return [channel('oauth-resource-server:log'), channel(`oauth-resource-server:log:${resource}`)]
}

/** Speaks about refusals and failures as the table above says. */
export function createVoice({ resource, now, credentialRules, issuers, warning }: VoiceContext): Voice {
  const [every, one] = logMarkers(resource)
  const countRefusal = createRefusalCount()
  const isNewFailure = createFailureMemory()
  const said = new Set<string>()
  const isLogged = (): boolean => every.hasSubscribers || one.hasSubscribers
  const isNew = (message: string): boolean => said.size < MAX_ONCE && !said.has(message) && said.add(message).size > 0
  const tellMistake = (request: ResourceRequest): void => {
    const { mistake } = request
    if (typeof mistake !== 'string' || !isNew(mistake)) return
    warning(mistake)
    if (!isLogged()) sayOnce(resource, mistake, request)
  }
  const tell: Voice['refusal'] = (error, request) => {
    const isFailure = error.status >= 500
    const unsaid = isFailure ? undefined : countRefusal(error.reason, now())
    if (isFailure ? !isNewFailure(error, subjectOf(request, credentialRules, issuers()), now()) : unsaid === undefined)
      return
    const fields = factsOf(resource, error, request)
    const level = error.status < 500 ? 'info' : error.status === 503 ? 'warn' : 'error'
    say(request, { level, fields: { ...fields, ...(unsaid && { unsaid }) }, message: sentenceOf(fields, unsaid) })
  }
  return {
    refusal: (error, request) => {
      try {
        if (error.reason === 'credentials_missing') tellMistake(request)
        else if (!isLogged()) tell(error, request)
      } catch {
        // A failure to tell, such as a `process.emitWarning` that throws, must not turn the refusal into another answer.
      }
    },
    warning: (message) => {
      try {
        if (!isLogged() && isNew(message)) sayOnce(resource, message)
      } catch {
        // Nor may it make a document unusable.
      }
    }
  }
}

/**
 * Counts refusals by reason.
 *
 * @returns undefined where a refusal is counted only; otherwise the number that was not said since the last line about
 * the reason
 */
function createRefusalCount(): (reason: string, time: number) => number | undefined {
  const reasons = new Map<string, { saidAt: number; unsaid: number }>()
  let hour = Number.NEGATIVE_INFINITY
  let lines = 0
  return (reason, time) => {
    let seen = reasons.get(reason)
    if (seen === undefined) {
      if (reasons.size >= MAX_REASONS) return undefined
      seen = { saidAt: Number.NEGATIVE_INFINITY, unsaid: 0 }
      reasons.set(reason, seen)
    }
    if (hasPassed(HOUR, hour, time)) {
      hour = time
      lines = 0
    }
    if (lines >= MAX_LINES || !hasPassed(HOUR, seen.saidAt, time)) {
      seen.unsaid++
      return undefined
    }
    lines++
    const { unsaid } = seen
    seen.saidAt = time
    seen.unsaid = 0
    return unsaid
  }
}

/**
 * Remembers the failures of a minute. Failures of configured issuers are always remembered: their number is bounded by
 * the options. A token chooses which name a resolver looks up, so the others share a limit; issuers that have served
 * documents have one of their own, which made-up names cannot use up.
 */
function createFailureMemory(): (error: ResourceServerError, about: Subject | undefined, time: number) => boolean {
  const said = new Set<string>()
  const lines = { listed: 0, served: 0, named: 0 }
  let minute = Number.NEGATIVE_INFINITY
  return ({ reason, hint }, about, time) => {
    if (hasPassed(MINUTE, minute, time)) {
      minute = time
      said.clear()
      Object.assign(lines, { listed: 0, served: 0, named: 0 })
    }
    // Without an issuer, the hint tells failures apart: of the resolver, of the replay store.
    const { issuer, standing } = about ?? { issuer: hint, standing: 'named' }
    const key = `${reason} ${issuer}`
    if (said.has(key) || (standing !== 'listed' && lines[standing] >= MAX_LINES)) return false
    lines[standing]++
    said.add(key)
    return true
  }
}

/** The issuer that a failure is about. */
interface Subject {
  readonly issuer: string
  /** A resolver named the others: `served` has served documents, and nothing is known of `named`. */
  readonly standing: 'listed' | 'served' | 'named'
}

/** The known issuer that the request's token selects. Read again here, so that requests carry nothing for it. */
function subjectOf(request: ResourceRequest, rules: CredentialRules, issuers: Issuers): Subject | undefined {
  const issuer = select(request, rules, issuers)
  if (issuer === undefined) return undefined
  const standing = issuers.names !== undefined ? 'listed' : issuer.heldKeys.bytes > 0 ? 'served' : 'named'
  return { issuer: issuer.settings.issuer, standing }
}

function select(request: ResourceRequest, rules: CredentialRules, issuers: Issuers): Issuer | undefined {
  try {
    const { token } = readCredentials(request, rules) ?? { token: '' }
    const iss = splitJws(token)?.unverifiedPayload?.['iss']
    if (typeof iss === 'string') return issuers.recall(iss)
    // A resolver is not called to say something about a failure.
    const asked = issuers.names && issuers.forOpaque(token)
    return isPromise(asked) ? undefined : asked
  } catch {
    // The failure has another cause than an issuer, and came before the credentials were read.
    return undefined
  }
}

/** True if the clock has moved that far, in either direction. False for a clock that returns NaN: a flood is worse than silence. */
function hasPassed(seconds: number, since: number, time: number): boolean {
  return Math.abs(time - since) >= seconds
}

const CODES: Readonly<Record<LogLine['level'], string>> = {
  error: 'OAUTH_RS_MISCONFIGURED',
  warn: 'OAUTH_RS_UNAVAILABLE',
  info: 'OAUTH_RS_REFUSED'
}

function sayOnce(resource: string, text: string, request?: ResourceRequest): void {
  const message = inOneLine(`oauth-resource-server: ${text} (${resource})`)
  say(request, { level: 'info', fields: { resource }, message }, CODES.error)
}

function say(request: ResourceRequest | undefined, line: LogLine, code = CODES[line.level]): void {
  try {
    if (request?.tell?.(line) === true) return
  } catch {
    // A log that throws must not turn a refusal into another answer.
  }
  // Hosts other than Node.js, Deno and Bun may lack it.
  if (typeof globalThis.process?.emitWarning === 'function') globalThis.process.emitWarning(line.message, { code })
  else globalThis.console?.warn(`[${code}] ${line.message}`)
}
