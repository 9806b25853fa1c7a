/**
 * Messages published on `node:diagnostics_channel`. Without a subscriber they cost nothing. Printing or copying a
 * message does not reveal the token. Refusals are told to `voice.ts` too.
 *
 * | channel | payload |
 * |---|---|
 * | `oauth-resource-server:access` | `{ resource, issuer, scheme }`: a request was accepted; only `access` names the subject |
 * | `oauth-resource-server:refusal` | `{ resource, error }`: a {@link ResourceServerError} is about to be thrown to an adapter |
 * | `oauth-resource-server:exchange` | `{ resource, dependency, … }`: a request to an authorization server ended, one message per attempt |
 * | `oauth-resource-server:warning` | `{ resource, issuer, message }`: something that an operator should look at |
 */
import { type Channel, channel } from 'node:diagnostics_channel'
import { timeRefusalInWords } from '../base/times.js'
import type { ResourceServerError } from '../errors/errors.js'
import { factsOf, type RefusalFacts, sentenceOf } from '../errors/facts.js'
import type { ExchangeEvent } from '../http/exchange.js'
import type { Access, ResourceRequest, Scheme } from '../types.js'
import type { Voice } from './voice.js'

/** The request that was decided, and its access. Both are prototype getters, so printing, copying or JSON omits them. */
export interface Decision {
  /**
   * The confirmed access, including its token. Undefined for a request that was refused before its sender was
   * confirmed.
   */
  readonly access: Access | undefined
  /** The decided request. */
  readonly request: ResourceRequest
}

/** Message of the channel `oauth-resource-server:access`: a request was accepted with a token. */
export interface AccessEvent extends Decision {
  readonly resource: string
  readonly issuer: string
  readonly scheme: Scheme
}

/** Message of the channel `oauth-resource-server:refusal`: a request was refused, or could not be decided (503, 500). */
export interface RefusalEvent extends Decision {
  readonly resource: string
  readonly error: ResourceServerError
  /** The values that a log may show by default: nothing in them comes from the token. A prototype getter, as `request` is. */
  readonly facts: RefusalFacts
  /**
   * The facts as one line of text, with further values by their names. With `received` among them, the line also says
   * a refused time in words: `expired 59 minutes ago`. A method of the prototype.
   */
  sentence(more?: Readonly<Record<string, unknown>>): string
}

/** Message of the channel `oauth-resource-server:warning`: something that an operator should look at. */
export interface WarningEvent {
  readonly resource: string
  readonly issuer: string
  readonly message: string
}

export interface Events {
  readonly access: (access: Access, request: ResourceRequest) => void
  readonly exchange: (exchange: Omit<ExchangeEvent, 'resource'>) => void
  /** True while the channel of refusals has a listener. */
  readonly hearsRefusals: () => boolean
  /** @param access the confirmed access, if the sender was confirmed before the refusal */
  readonly refusal: (error: ResourceServerError, request: ResourceRequest, access: Access | undefined) => void
  /** @param isUrgent true for a warning that is said without a logger too */
  readonly warning: (issuer: string, message: string, isUrgent?: boolean) => void
}

class DecisionMessage implements Decision {
  readonly #access: Access | undefined
  readonly #request: ResourceRequest

  constructor(access: Access | undefined, request: ResourceRequest) {
    this.#access = access
    this.#request = request
  }

  get access(): Access | undefined {
    return this.#access
  }

  get request(): ResourceRequest {
    return this.#request
  }
}

class RefusalMessage extends DecisionMessage implements RefusalEvent {
  readonly resource: string
  readonly error: ResourceServerError
  readonly #now: () => number

  constructor(resource: string, error: ResourceServerError, { access, request }: Decision, now: () => number) {
    super(access, request)
    this.#now = now
    this.resource = resource
    this.error = error
  }

  get facts(): RefusalFacts {
    return factsOf(this.resource, this.error, this.request)
  }

  sentence(more?: Readonly<Record<string, unknown>>): string {
    const time = more !== undefined && 'received' in more ? timeRefusalInWords(this.error, this.#now()) : undefined
    return sentenceOf(this.facts, 0, { ...more, ...(time !== undefined && { time }) })
  }
}

/**
 * @param now seconds since the epoch
 * @param voice tells the operator of refusals while no log does; undefined with `log: false`
 */
export function createEvents(resource: string, now: () => number, voice?: Voice): Events {
  const accesses: Channel = channel('oauth-resource-server:access')
  const refusals: Channel = channel('oauth-resource-server:refusal')
  const exchanges: Channel = channel('oauth-resource-server:exchange')
  const warnings: Channel = channel('oauth-resource-server:warning')
  return {
    access: (access, request) => {
      if (!accesses.hasSubscribers) return
      const { issuer, scheme } = access
      const about = new DecisionMessage(access, request)
      accesses.publish(Object.assign(about, { resource, issuer, scheme }) satisfies AccessEvent)
    },
    exchange: (exchange) => {
      if (exchanges.hasSubscribers) exchanges.publish({ resource, ...exchange } satisfies ExchangeEvent)
    },
    hearsRefusals: () => refusals.hasSubscribers,
    refusal: (error, request, access) => {
      voice?.refusal(error, request)
      if (refusals.hasSubscribers) refusals.publish(new RefusalMessage(resource, error, { access, request }, now))
    },
    warning: (issuer, message, isUrgent = false) => {
      if (isUrgent) voice?.warning(message)
      if (warnings.hasSubscribers) warnings.publish({ resource, issuer, message } satisfies WarningEvent)
    }
  }
}
