// @ts-check
/** The walk, while the authorization server changes its keys, and while it is down. */
import { keyIdOf } from './forge.mjs'
import { RESOURCES } from './resources.mjs'
import { send } from './send.mjs'

/** @typedef {import('./walk.mjs').World} World */
/** @typedef {import('./walk.mjs').Case} Case */

const signature = 'The access token signature could not be verified'
/** @param {string} token */
const bearer = (token) => [`Bearer ${token}`]
const orders = { method: 'GET', path: '/orders' }

/**
 * @param {World} world
 * @returns {import('./walk.mjs').Group[]} in an order that matters
 */
export function createChanges(world) {
  return [
    { title: 'The authorization server fails', cases: outage(world) },
    // Last, since it sets the clock far ahead: a token that seems issued before the last look at the keys is refused.
    { title: 'The authorization server changes its keys', cases: rotation(world) }
  ]
}

/**
 * @param {World} world
 * @returns {Case[]}
 */
function rotation({ as, client, apis, clock }) {
  let before = ''
  let after = ''
  /** Every answer of every API while keys changed. @type {Map<object, import('./send.mjs').Answer[]>} */
  const answers = new Map(apis.map((api) => [api, []]))
  /** @param {...string} tokens each four times to each API, all at once */
  const traffic = async (...tokens) => {
    const requests = apis.flatMap((api) =>
      [...tokens, ...tokens, ...tokens, ...tokens].map(async (token) => {
        answers.get(api)?.push(await send('GET', `${api.origin}/orders`, bearer(token)))
      })
    )
    await Promise.all(requests)
  }
  const newToken = () => client.clientCredentials(RESOURCES.ES256, 'orders:read')
  return [
    {
      title: 'Rotation under traffic: no wrong 401',
      why: 'Meanwhile a key was published, then signed with, then the old one retired.',
      ...orders,
      authorization: async () => {
        before = await newToken()
        await Promise.all([as.rotate('publish'), traffic(before)])
        await Promise.all([as.rotate('switch'), traffic(before)])
        after = await newToken()
        await traffic(before, after)
        await Promise.all([as.rotate('retire'), traffic(after)])
        await traffic(after)
        return bearer(after)
      },
      answer: async (api) => {
        const all = answers.get(api) ?? []
        const wrong = all.find(({ status }) => status !== 200)
        return wrong ?? /** @type {import('./send.mjs').Answer} */ ({ ...all.at(-1), times: all.length })
      },
      expect: { status: 200, check: ({ times }) => times === 24 && keyIdOf(before) !== keyIdOf(after) }
    },
    {
      title: 'Token of the retired key',
      why: 'The APIs’ clock set 11 min ahead: keys are fetched again, and this one is gone.',
      ...orders,
      authorization: async () => {
        clock.ahead += 660
        return bearer(before)
      },
      expect: { status: 401, error: 'invalid_token', description: signature, scope: 'orders:read' }
    },
    {
      title: 'Token of the new key',
      why: 'And this one stays valid.',
      ...orders,
      authorization: async () => bearer(after),
      expect: { status: 200 }
    }
  ]
}

/**
 * @param {World} world
 * @returns {Case[]}
 */
function outage({ as, client, clock }) {
  let opaque = ''
  let unknown = ''
  return [
    {
      title: 'Stopped: JWT with a known key',
      why: 'The server is down, and nothing needs to be fetched.',
      ...orders,
      authorization: async () => {
        opaque = await client.clientCredentials(RESOURCES.opaque, 'orders:read')
        const known = await client.clientCredentials(RESOURCES.EdDSA, 'orders:read')
        await as.rotate('publish', ['ES256'])
        await as.rotate('switch', ['ES256'])
        unknown = await client.clientCredentials(RESOURCES.ES256, 'orders:read')
        await as.stop()
        // A key that was not found is not looked for again at once: past that, so that the next one is.
        clock.ahead += 31
        return bearer(known)
      },
      expect: { status: 200 }
    },
    {
      title: 'Stopped: opaque token',
      why: 'The API cannot know whether it is good: 503 with a Retry-After, never 401.',
      ...orders,
      authorization: async () => bearer(opaque),
      expect: { status: 503 }
    },
    {
      title: 'Stopped: JWT with a key from just before',
      why: 'The key was published after the last fetch, so the API cannot know it: 503.',
      ...orders,
      authorization: async () => bearer(unknown),
      expect: { status: 503 }
    },
    {
      title: 'Started again: the same JWT',
      why: 'A failed attempt is not repeated at once: the clock was set 31 s ahead.',
      ...orders,
      authorization: async () => {
        await as.start()
        clock.ahead += 31
        return bearer(unknown)
      },
      expect: { status: 200 }
    },
    {
      title: 'Started again: the same opaque token',
      why: 'The APIs were not restarted, and the 503 was not remembered.',
      ...orders,
      authorization: async () => bearer(opaque),
      expect: { status: 200 }
    }
  ]
}
