/**
 * Checks while the authorization server fails: an outage is answered with 503 and never with 401, because a client that gets 401
 * throws its good token away; nothing is accepted unverified; and the API recovers.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import { randomUUID } from 'node:crypto'
import type { Check, CheckContext, SuiteEndpoint, SuiteFailure, WireRequest, WireResponse } from '../../check.js'
import { NoAnswer } from '../../engine/wire.js'
import { requestsFor, requireSilence } from '../jose/jose.js'
import * as source from '../sources.js'
import { fieldOf, isAccepted, recoverySeconds, requireGood, sendUntil, told, withToken } from './judge.js'

/** Tokens of one flood, and the requests for keys that it may cause. */
const FLOOD = { tokens: 25, requests: 5 }

/** Where a failing endpoint redirects to. */
const REDIRECTED = '/canary/redirect'

const changeOutage =
  'Answer 503 with Retry-After while the authorization server does not answer: 401 makes clients throw good tokens away.'

const FAILURES: readonly (readonly [id: string, what: string, failure: SuiteFailure])[] = [
  ['500', 'answers 500', { status: 500 }],
  ['429', 'answers 429 with Retry-After', { status: 429, fields: { 'Retry-After': '1' } }],
  ['503', 'answers 503', { status: 503 }],
  ['silence', 'does not answer', 'silence'],
  ['reset', 'closes the connection', 'reset'],
  ['garbage', 'answers with a page', 'garbage'],
  ['redirect', 'redirects to another place', 'redirect'],
  ['bomb', 'answers with 32 MiB in a few kilobytes', 'bomb'],
  ['endless', 'answers without an end', 'endless']
]

/** Bytes of an endless answer that an API may take. Buffers of the system hold some of them. */
const MOST_TAKEN = 24 * 1024 * 1024

/** Runs with a failing endpoint, and then requires that the API recovers. */
async function during(
  context: CheckContext,
  endpoint: SuiteEndpoint,
  failure: SuiteFailure,
  look: () => Promise<void>,
  good: () => string
): Promise<void> {
  await requireGood(context, good)
  context.issuer.fail(endpoint, failure)
  try {
    await look()
  } finally {
    context.issuer.recover()
    const seconds = recoverySeconds(context)
    const {
      response,
      isRight,
      seconds: passed
    } = await sendUntil(context, () => withToken(good()), isAccepted, seconds)
    if (isRight) context.measured(passed, 'from the end of the outage to the first good token that was accepted')
    if (!isRight)
      context.fail({
        expected: `The API accepts good tokens within ${seconds} seconds after the outage.`,
        received: told(response),
        change: 'Try again after an outage, at the latest after a minute.'
      })
  }
}

/** @throws {Failed} no answer in the time that the suite waits */
async function sendDuring(context: CheckContext, token: string): Promise<WireResponse> {
  return context.send(withToken(token)).catch((error: unknown) => {
    if (!(error instanceof NoAnswer)) throw error
    return context.fail({
      expected: 'The API answers in time.',
      received: `The API did not answer: ${error.message}.`,
      change: 'Give requests to the authorization server a deadline of a few seconds, and answer 503 when it is over.'
    })
  })
}

/** @throws {Failed} the API took more of an endless answer than any document of an issuer needs */
function requireLimit(context: CheckContext, path: string): void {
  const taken = context.issuer.requests.findLast((request) => request.path === path)?.taken ?? 0
  if (taken > MOST_TAKEN)
    context.fail({
      expected: `The API disconnects before it has read ${MOST_TAKEN / 1024 / 1024} MiB of an answer.`,
      received: `The API read ${Math.round(taken / 1024 / 1024)} MiB.`,
      change: 'Limit the bytes of an answer that you read from the authorization server: a megabyte is plenty.'
    })
}

function requireUnavailable(context: CheckContext, response: WireResponse): void {
  const isRight = response.status >= 500 || response.status === 429
  if (!isRight) context.fail({ expected: 'The API answers 503.', received: told(response), change: changeOutage })
}

const introspection: readonly Check[] = FAILURES.map(([id, what, failure]) => ({
  id: `faults-introspection-${id}`,
  title: `An opaque token gets 503 while the authorization server ${what}.`,
  profile: 'faults',
  level: 'hardening',
  needs: ['introspection'],
  isTimed: true,
  run: async (context) => {
    const { issuer } = context
    const look = async (): Promise<void> => {
      const before = requestsFor(context, REDIRECTED)
      requireUnavailable(context, await sendDuring(context, issuer.opaque()))
      requireSilence(context, REDIRECTED, before)
      requireLimit(context, '/introspect')
    }
    await during(context, 'introspection', failure, look, () => issuer.opaque())
  }
}))

const retryAfter: Check = {
  id: 'faults-retry-after',
  title: 'The answer during an outage says when to try again.',
  profile: 'faults',
  level: 'hardening',
  needs: ['introspection'],
  run: async (context) => {
    const { issuer } = context
    const look = async (): Promise<void> => {
      const response = await context.send(withToken(issuer.opaque()))
      if (fieldOf(response, 'retry-after') === undefined)
        context.fail({
          expected: 'The answer has the field Retry-After.',
          received: told(response),
          change: changeOutage
        })
    }
    await during(context, 'introspection', { status: 500 }, look, () => issuer.opaque())
  }
}

const known: Check = {
  id: 'faults-known-keys',
  title: 'Tokens of known keys are accepted while the authorization server does not answer.',
  profile: 'faults',
  level: 'hardening',
  needs: ['issuer'],
  run: async (context) => {
    const { issuer } = context
    const look = async (): Promise<void> => {
      issuer.fail('metadata', 'silence')
      const response = await sendDuring(context, issuer.token())
      if (!isAccepted(response))
        context.fail({
          expected: 'The API accepts the token.',
          received: told(response),
          change: 'Keep the keys of the issuer, and verify JWTs without a request for each.'
        })
    }
    await during(context, 'keys', 'silence', look, () => issuer.token())
  }
}

const keys: readonly Check[] = (
  [
    ['500', 'answer 500', { status: 500 }],
    ['redirect', 'redirect to another place', 'redirect'],
    ['bomb', 'are 32 MiB in a few kilobytes', 'bomb'],
    ['endless', 'have no end', 'endless'],
    ['empty', 'are an empty list', 'empty']
  ] as const
).map(([id, what, failure]) => ({
  id: `faults-keys-${id}`,
  title: `A token of a new key is not accepted while the keys ${what}, and is accepted afterwards.`,
  profile: 'faults',
  level: 'hardening',
  needs: ['issuer'],
  isTimed: true,
  run: async (context) => {
    const { issuer } = context
    const look = async (): Promise<void> => {
      issuer.rotateKeys()
      const before = requestsFor(context, '/keys')
      const redirected = requestsFor(context, REDIRECTED)
      const response = await sendDuring(context, issuer.token())
      const hasAsked = requestsFor(context, '/keys') > before
      if (isAccepted(response))
        context.fail({ expected: 'The API does not accept the token.', received: told(response), change: changeOutage })
      // With an empty list the issuer has withdrawn all keys, so 401 is right. Without a fetch the API cannot know of the outage.
      if (id !== 'empty' && hasAsked) requireUnavailable(context, response)
      requireSilence(context, REDIRECTED, redirected)
      requireLimit(context, '/keys')
    }
    await during(context, 'keys', failure, look, () => issuer.token())
  }
}))

const flood: Check = {
  id: 'faults-flood-kid',
  title: `${FLOOD.tokens} tokens with unknown keys cause at most ${FLOOD.requests} requests for keys.`,
  profile: 'faults',
  level: 'hardening',
  needs: ['issuer'],
  run: async (context) => {
    const { issuer } = context
    const before = requestsFor(context, '/keys')
    const flooding = (): WireRequest => ({
      ...withToken(issuer.token({ key: 'unpublished', header: { kid: randomUUID() } })),
      // 429 is a good answer. A suite that waited as long as it asks for would count the fetches of minutes.
      isOnce: true
    })
    for (let i = 0; i < FLOOD.tokens; i++) await context.send(flooding())
    const count = requestsFor(context, '/keys') - before
    if (count > FLOOD.requests)
      context.fail({
        expected: `The API sends at most ${FLOOD.requests} requests for keys.`,
        received: `The API sent ${count} requests.`,
        change:
          'Pause between two fetches of the keys, whatever `kid` the tokens name: else clients can flood the issuer.'
      })
  }
}

/** Characters that no token has (RFC 6750 §2.1). */
const JUNK = ['a,b', 'a"b', 'a;b', '<script>', '{"active":true}', 'a\\b', 'a:b', 'a@b', '[a]', 'a&token=b']

const junk: Check = {
  id: 'faults-flood-junk',
  title: `${JUNK.length} credentials with characters that no token has cause no introspection.`,
  profile: 'faults',
  level: 'hardening',
  needs: ['issuer', 'introspection'],
  run: async (context) => {
    const before = requestsFor(context, '/introspect')
    for (const one of JUNK) await context.send({ ...withToken(one), isOnce: true })
    const count = requestsFor(context, '/introspect') - before
    if (count > 0)
      context.fail({
        expected: 'The API sends no introspection request.',
        received: `The API sent ${count} requests.`,
        change: 'Refuse credentials that are not `b64token` (RFC 6750 §2.1) before you ask the authorization server.'
      })
  }
}

const lie: Check = {
  id: 'rfc8414-issuer',
  title: 'Metadata that names another issuer is not used.',
  profile: 'faults',
  level: 'MUST',
  source: source.METADATA_ISSUER,
  needs: ['issuer'],
  run: async (context) => {
    const { issuer, declared } = context
    const look = async (): Promise<void> => {
      const [seen, before] = [requestsFor(context, '/.well-known/'), requestsFor(context, '/lie/')]
      await declared.restart?.()
      const header = { kid: issuer.strangerKey()['kid'] }
      const response = await context.send(withToken(issuer.token({ key: 'unpublished', header })))
      const hasUsed = requestsFor(context, '/lie/') > before
      if (isAccepted(response) || hasUsed)
        context.fail({
          expected: 'The API neither fetches the keys that this metadata names nor accepts a token of theirs.',
          received: `${told(response)}${hasUsed ? ' It fetched the keys.' : ''}`,
          change:
            'Compare `issuer` in the metadata with the configured issuer, character by character, before you use it.'
        })
      if (requestsFor(context, '/.well-known/') === seen)
        context.skip('the API did not read the metadata again: declare how to start it again (`declared.restart`)')
    }
    await during(context, 'metadata', 'lie', look, () => issuer.token())
  }
}

const stampede: Check = {
  id: 'faults-stampede',
  title: 'Twenty requests at once with one new opaque token cause at most five introspections.',
  profile: 'faults',
  level: 'hardening',
  needs: ['introspection'],
  run: async (context) => {
    const { issuer } = context
    const request = withToken(issuer.opaque())
    const before = requestsFor(context, '/introspect')
    // A busy machine or a proxy spreads the requests: all of them arrive before the first answer does.
    issuer.fail('introspection', 'late')
    try {
      await Promise.all(Array.from({ length: 20 }, () => context.send(request)))
    } finally {
      issuer.recover()
    }
    const count = requestsFor(context, '/introspect') - before
    if (count > 5)
      context.fail({
        expected: 'The API sends at most five introspection requests.',
        received: `The API sent ${count} requests.`,
        change: 'Let requests with the same token wait for one introspection.'
      })
  }
}

const canary: Check = {
  id: 'canary',
  title: 'The API requested nothing that only a token names.',
  profile: 'hardening',
  level: 'hardening',
  needs: ['issuer'],
  run: async (context) => {
    const { issuer } = context
    const before = requestsFor(context, '/canary/')
    const places = { iss: `${issuer.canary}iss`, jku: `${issuer.canary}jku` }
    await context.send(withToken(issuer.token({ claims: { iss: places.iss } })))
    const status = { status_list: { idx: 0, uri: `${issuer.canary}status` } }
    await context.send(withToken(issuer.token({ key: 'unpublished', claims: { status } })))
    await context.send(withToken(issuer.token({ key: 'unpublished', header: { jku: places.jku, kid: 'attacker' } })))
    requireSilence(context, '/canary/', before)
  }
}

/** The authorization server fails. */
export const faults: readonly Check[] = [
  canary,
  junk,
  stampede,
  known,
  ...introspection,
  retryAfter,
  ...keys,
  lie,
  flood
]
