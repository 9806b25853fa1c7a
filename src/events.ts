/**
 * What can be listened to with `node:diagnostics_channel`; free when nobody does. Payloads hold no token.
 *
 * | channel | payload |
 * |---|---|
 * | `oauth-resource-server:access` | `{ resource, issuer, scheme }`: a request is let in; of whom, nothing |
 * | `oauth-resource-server:refusal` | `{ resource, error }`: a {@link ResourceServerError} about to be thrown to an adapter |
 * | `oauth-resource-server:exchange` | `{ resource, dependency, … }`: a request to an authorization server has ended, each attempt by itself |
 * | `oauth-resource-server:warning` | `{ resource, issuer, message }`: something an operator should look at |
 */
import { type Channel, channel } from 'node:diagnostics_channel'
import type { Dependency, ResourceServerError } from './errors.js'
import type { Access, Scheme } from './types.js'

/** Message of the channel `oauth-resource-server:access`: a request that was let in with a token. */
export interface AccessEvent {
  readonly resource: string
  readonly issuer: string
  readonly scheme: Scheme
}

/** Message of the channel `oauth-resource-server:refusal`: a request that was refused, or that nobody could decide about. */
export interface RefusalEvent {
  readonly resource: string
  readonly error: ResourceServerError
}

/** Message of the channel `oauth-resource-server:warning`: something that an operator should look at. */
export interface WarningEvent {
  readonly resource: string
  readonly issuer: string
  readonly message: string
}

/** One attempt: a request and its answer, or the lack of one. */
export interface ExchangeEvent {
  readonly resource: string
  readonly dependency: Dependency
  readonly method: 'GET' | 'POST'
  /** Where to: host and port. */
  readonly host: string
  /** HTTP status; undefined where none came. */
  readonly status: number | undefined
  /** What went wrong, in words that follow the host; undefined for an answer that can be used. */
  readonly failure: string | undefined
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Milliseconds. */
  readonly duration: number
}

export interface Events {
  readonly access: (access: Access) => void
  readonly exchange: (exchange: Omit<ExchangeEvent, 'resource'>) => void
  readonly refusal: (error: ResourceServerError) => void
  readonly warning: (issuer: string, message: string) => void
}

export function createEvents(resource: string): Events {
  const accesses: Channel = channel('oauth-resource-server:access')
  const refusals: Channel = channel('oauth-resource-server:refusal')
  const exchanges: Channel = channel('oauth-resource-server:exchange')
  const warnings: Channel = channel('oauth-resource-server:warning')
  return {
    access: (access) => {
      if (!accesses.hasSubscribers) return
      const { issuer, scheme } = access
      accesses.publish({ resource, issuer, scheme } satisfies AccessEvent)
    },
    exchange: (exchange) => {
      if (exchanges.hasSubscribers) exchanges.publish({ resource, ...exchange } satisfies ExchangeEvent)
    },
    refusal: (error) => {
      if (refusals.hasSubscribers) refusals.publish({ resource, error } satisfies RefusalEvent)
    },
    warning: (issuer, message) => {
      if (warnings.hasSubscribers) warnings.publish({ resource, issuer, message } satisfies WarningEvent)
    }
  }
}
