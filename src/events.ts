/**
 * What can be listened to with `node:diagnostics_channel`; free when nobody does. Payloads hold no token.
 *
 * | channel | payload |
 * |---|---|
 * | `oauth-resource-server:refusal` | `{ resource, error }`: a {@link ResourceServerError} about to be thrown to an adapter |
 * | `oauth-resource-server:warning` | `{ resource, issuer, message }`: something an operator should look at |
 */
import { type Channel, channel } from 'node:diagnostics_channel'
import type { ResourceServerError } from './errors.js'

export interface RefusalEvent {
  readonly resource: string
  readonly error: ResourceServerError
}

export interface WarningEvent {
  readonly resource: string
  readonly issuer: string
  readonly message: string
}

export interface Events {
  readonly refusal: (error: ResourceServerError) => void
  readonly warning: (issuer: string, message: string) => void
}

export function createEvents(resource: string): Events {
  const refusals: Channel = channel('oauth-resource-server:refusal')
  const warnings: Channel = channel('oauth-resource-server:warning')
  return {
    refusal: (error) => {
      if (refusals.hasSubscribers) refusals.publish({ resource, error } satisfies RefusalEvent)
    },
    warning: (issuer, message) => {
      if (warnings.hasSubscribers) warnings.publish({ resource, issuer, message } satisfies WarningEvent)
    }
  }
}
