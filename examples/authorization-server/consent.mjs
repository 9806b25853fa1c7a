// @ts-check
/**
 * From an authorization request to a grant. A browser is led to a page and asked. A program that asked with an API key
 * answers for its owner: it reads what is asked from the consent token, and posts the answer.
 */
import { randomUUID } from 'node:crypto'
import { consentPage, errorPage } from './pages.mjs'
import { notFound, unprocessable } from './problems.mjs'
import { ACCOUNT } from './provider.mjs'
import { readJson, readText } from './requests.mjs'
import { splitScope } from './scopes.mjs'

/** @typedef {import('oidc-provider').Interaction} Interaction */

/**
 * @param {object} world
 * @param {import('./database.mjs').AuthorizationDatabase} world.database
 * @param {() => import('./provider.mjs').AuthorizationProvider} world.provider
 * @param {Readonly<Record<string, import('./scopes.mjs').ScopeWords>>} world.scopes
 */
export function createConsent({ database, provider, scopes }) {
  /** The scopes of an authorization request that exist. @param {Record<string, unknown>} params */
  const requestedScopes = ({ scope }) => splitScope(scope).filter((name) => Object.hasOwn(scopes, name))

  /** @param {Interaction} interaction */
  const describe = async ({ params }) => {
    const client = await provider().Client.find(String(params.client_id))
    if (!client) throw notFound('client')
    return {
      client_id: client.clientId,
      name: client.clientName ?? client.clientId,
      logo_uri: client.logoUri ?? null,
      policy_uri: client.policyUri ?? null,
      tos_uri: client.tosUri ?? null,
      redirect_uri: String(params.redirect_uri),
      requested_scopes: requestedScopes(params).map((id) => ({ id, ...scopes[id] })),
      verified: database.clientNotes(client.clientId)?.verified ?? false
    }
  }

  /** What oidc-provider is told of the answer. @param {Interaction} interaction @param {boolean} allowed */
  const resultOf = async ({ params, grantId }, allowed) => {
    if (!allowed) return { error: 'access_denied', error_description: 'The request was denied.' }
    const { Grant } = provider()
    const existing = grantId === undefined ? undefined : await Grant.find(grantId)
    const clientId = String(params.client_id)
    const grant = existing ?? new Grant(/** @type {any} */ ({ jti: randomUUID(), accountId: ACCOUNT, clientId }))
    const granted = requestedScopes(params).join(' ')
    // As scopes of the server, which is how a client's list of them is checked, and of its API, which a token is for.
    grant.addOIDCScope(granted)
    const resources = /** @type {string[]} */ ([params.resource ?? []].flat())
    for (const resource of resources) grant.addResourceScope(resource, granted)
    return { login: { accountId: ACCOUNT }, consent: { grantId: await grant.save() } }
  }

  return {
    /** For oidc-provider: remembers the cookies of a request that was made with an API key, whose maker keeps none. */
    rememberCookies:
      /** @param {(ctx: import('koa').Context) => unknown} hasApiKey */
      (hasApiKey) => async (/** @type {any} */ ctx, /** @type {() => Promise<void>} */ next) => {
        await next()
        const interaction = ctx.oidc?.entities.Interaction
        if (ctx.oidc?.route !== 'authorization' || !interaction || !hasApiKey(ctx)) return
        const cookies = ctx.response.get('set-cookie').map((/** @type {string} */ one) => one.split(';', 1)[0])
        database.save('Cookies', interaction.uid, { cookies }, interaction.exp - interaction.iat)
      },

    /** What is asked of whom: `GET /v2/oauth/consent/{consent_token}`. @param {string} token */
    retrieve: async (token) => {
      const interaction = await provider().Interaction.find(token)
      if (!interaction) throw notFound('consent token')
      return { data: await describe(interaction) }
    },

    /** The answer: `POST /v2/oauth/grants`. @param {import('koa').Context} ctx */
    answer: async (ctx) => {
      const { allowed, consent_token: token } = await readJson(ctx)
      const wrong = {
        ...(typeof allowed !== 'boolean' && { '/allowed': 'true or false is required' }),
        ...(typeof token !== 'string' && { '/consent_token': 'a consent token is required' })
      }
      if (Object.keys(wrong).length > 0) throw unprocessable(wrong)
      const interaction = await provider().Interaction.find(String(token))
      const cookies = database.find('Cookies', String(token))?.['cookies']
      // Without its cookies a browser asked: the answer is up to whoever sits before it.
      if (!interaction || !Array.isArray(cookies)) throw notFound('consent token')
      interaction.result = await resultOf(interaction, allowed === true)
      await interaction.save(interaction.exp - Math.floor(Date.now() / 1000))
      database.remove('Cookies', String(token))
      const resumed = await fetch(interaction.returnTo, {
        headers: { cookie: cookies.join('; ') },
        redirect: 'manual'
      })
      const location = resumed.headers.get('location')
      // Anything that is not the client's address would be another question.
      if (location === null || !URL.canParse(location))
        throw new Error(`the authorization request did not end: ${resumed.status}`)
      return { redirect_uri: location }
    },

    /** The page. @param {import('koa').Context} ctx @param {string} uid */
    show: async (ctx, uid) => {
      const interaction = await provider().Interaction.find(uid)
      if (!interaction)
        return errorPage(ctx, 404, 'This request has expired. Go back to the application and start again.')
      consentPage(ctx, { uid, account: ACCOUNT, ...(await describe(interaction)) })
    },

    /** The form of the page. @param {import('koa').Context} ctx @param {string} uid */
    decide: async (ctx, uid) => {
      const { issuer } = provider()
      // The cookie of the interaction is `SameSite=Lax`, so another site's form comes without it; and it names its origin.
      if (ctx.get('origin') !== new URL(issuer).origin) return errorPage(ctx, 403, 'The answer came from another site.')
      const decision = new URLSearchParams(await readText(ctx)).get('decision')
      if (decision !== 'allow' && decision !== 'deny') return errorPage(ctx, 400, 'Choose to allow or to deny.')
      const interaction = await provider()
        .interactionDetails(ctx.req, ctx.res)
        .catch(() => undefined)
      if (interaction?.uid !== uid)
        return errorPage(ctx, 403, 'This browser did not begin the request, or it has expired, or cookies are off.')
      const result = await resultOf(interaction, decision === 'allow')
      ctx.status = 303
      ctx.redirect(await provider().interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: false }))
    }
  }
}
