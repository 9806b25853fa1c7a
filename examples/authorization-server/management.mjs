// @ts-check
/** `/v2/oauth_clients` and `/v2/oauth_grants`: lists with pages and filters, and what can be done to one of them. */
import { randomBytes, randomUUID } from 'node:crypto'
import { errors } from '../demo/oidc-provider.mjs'
import { notFound, unprocessable } from './problems.mjs'
import { readJson } from './requests.mjs'
import { splitScope } from './scopes.mjs'

/** @typedef {import('oidc-provider').ClientMetadata} ClientMetadata */

const MAX_PAGE_SIZE = 250
/** Whose all of it is. */
const OWNER = { org_id: 'org-example', user_id: 'user-alice' }

/** What a client is made of: the API's name, oidc-provider's, and what is wrong with a value, if anything is. */
const MEMBERS = [
  member('name', 'client_name', isText, 'a text of 1 to 200 characters'),
  member('allowed_scopes', 'scope', isNames, 'an array of scopes', (names) => names.join(' ')),
  member('allowed_grant_types', 'grant_types', isNames, 'an array of grant types'),
  member('redirect_uris', 'redirect_uris', isNames, 'an array of URIs'),
  member('require_pkce', 'require_pkce', (value) => typeof value === 'boolean', 'true or false'),
  member('logo_uri', 'logo_uri', isUri, 'an http(s) URI or null'),
  member('policy_uri', 'policy_uri', isUri, 'an http(s) URI or null'),
  member('tos_uri', 'tos_uri', isUri, 'an http(s) URI or null')
]
const REQUIRED = ['name', 'allowed_scopes', 'client_type', 'allowed_grant_types']

/**
 * @param {object} world
 * @param {import('./database.mjs').AuthorizationDatabase} world.database
 * @param {() => import('./provider.mjs').AuthorizationProvider} world.provider
 * @param {Readonly<Record<string, import('./scopes.mjs').ScopeWords>>} world.scopes
 */
export function createManagement({ database, provider, scopes }) {
  /** @param {ClientMetadata} metadata @param {string | null} [secret] shown once, when it is made */
  const clientData = (metadata, secret = null) => {
    const id = metadata.client_id
    const notes = database.clientNotes(id)
    return {
      record_type: 'oauth_client',
      client_id: id,
      client_secret: secret,
      name: metadata.client_name ?? '',
      client_type: metadata.token_endpoint_auth_method === 'none' ? 'public' : 'confidential',
      allowed_scopes: splitScope(metadata.scope),
      allowed_grant_types: metadata.grant_types ?? [],
      redirect_uris: metadata.redirect_uris ?? [],
      require_pkce: metadata.token_endpoint_auth_method === 'none' || metadata['require_pkce'] !== false,
      logo_uri: metadata.logo_uri ?? null,
      policy_uri: metadata.policy_uri ?? null,
      tos_uri: metadata.tos_uri ?? null,
      verified: notes?.verified ?? false,
      ...OWNER,
      created_at: notes?.created_at ?? '',
      updated_at: notes?.updated_at ?? ''
    }
  }

  /** @param {string} id @returns {ClientMetadata} */
  const requireClient = (id) => {
    const metadata = database.find('Client', id)
    if (metadata === undefined) throw notFound('client')
    return /** @type {ClientMetadata} */ (metadata)
  }

  /** What oidc-provider would not accept is not kept. @param {ClientMetadata} metadata */
  const keep = (metadata) => {
    requireConsistent(metadata, Object.keys(scopes))
    try {
      const client = new /** @type {any} */ (provider().Client)(metadata)
      database.save('Client', metadata.client_id, client.metadata())
      return client.metadata()
    } catch (error) {
      if (!(error instanceof errors.InvalidClientMetadata || error instanceof errors.InvalidRedirectUri)) throw error
      const detail = error.error_description ?? error.message
      throw unprocessable({ [pointerTo(error, detail)]: detail })
    }
  }

  /** @param {string} id @param {import('oidc-provider').AdapterPayload} grant */
  const grantData = (id, { clientId, resources = {}, iat = 0 }) => ({
    record_type: 'oauth_grant',
    id,
    client_id: clientId,
    scopes: [...new Set(Object.values(/** @type {Record<string, string>} */ (resources)).flatMap(splitScope))],
    created_at: new Date(iat * 1000).toISOString(),
    last_used_at: database.lastUse(id)
  })

  /** @param {string} id */
  const requireGrant = (id) => {
    const grant = database.find('Grant', id)
    if (grant === undefined) throw notFound('grant')
    return grant
  }

  return {
    /** @param {URLSearchParams} query */
    listClients: (query) => {
      /** @type {Record<string, (client: Client, value: string) => boolean>} */
      const filters = {
        'filter[client_id]': (client, value) => client.client_id === value,
        'filter[client_type]': (client, value) => client.client_type === value,
        'filter[name]': (client, value) => client.name === value,
        'filter[name][contains]': (client, value) => client.name.toLowerCase().includes(value.toLowerCase()),
        'filter[allowed_grant_types][contains]': (client, value) => client.allowed_grant_types.includes(value),
        'filter[verified]': (client, value) => String(client.verified) === value
      }
      const all = database.all('Client').map(({ payload }) => clientData(/** @type {ClientMetadata} */ (payload)))
      return page(byAge(all, 'client_id'), filters, query)
    },

    /** @param {import('koa').Context} ctx */
    createClient: async (ctx) => {
      const body = await readJson(ctx)
      const metadata = readMembers(body, REQUIRED)
      const isPublic = body['client_type'] === 'public'
      const secret = isPublic ? null : randomBytes(32).toString('base64url')
      const id = randomUUID()
      const kept = keep({
        ...metadata,
        client_id: id,
        client_id_issued_at: Math.floor(Date.now() / 1000),
        ...(secret !== null && { client_secret: secret }),
        token_endpoint_auth_method: isPublic ? 'none' : 'client_secret_post',
        ...followsFrom(metadata)
      })
      database.noteClient(id, true)
      return { data: clientData(kept, secret) }
    },

    /** @param {string} id */
    retrieveClient: (id) => ({ data: clientData(requireClient(id)) }),

    /** @param {string} id @param {import('koa').Context} ctx */
    updateClient: async (id, ctx) => {
      const client = requireClient(id)
      const changed = { ...client, ...readMembers(await readJson(ctx), []) }
      const kept = keep({ ...changed, ...followsFrom(changed) })
      database.noteUpdate(id)
      return { data: clientData(kept) }
    },

    /** With it goes whatever was granted to it. @param {string} id */
    deleteClient: (id) => {
      requireClient(id)
      database.removeClient(id)
    },

    /** @param {URLSearchParams} query */
    listGrants: (query) => {
      const all = database.all('Grant').map(({ id, payload }) => grantData(id, payload))
      return page(byAge(all, 'id'), {}, query)
    },

    /** @param {string} id */
    retrieveGrant: (id) => ({ data: grantData(id, requireGrant(id)) }),

    /** Its tokens are inactive from now on. @param {string} id */
    revokeGrant: (id) => {
      const data = grantData(id, requireGrant(id))
      database.remove('Grant', id)
      database.revoke(id)
      return { data }
    }
  }
}

/** @typedef {ReturnType<ReturnType<typeof createManagement>['retrieveClient']>['data']} Client */

/**
 * What oidc-provider wants to know besides, and the rest implies.
 * @param {Partial<ClientMetadata>} metadata
 * @returns {Partial<ClientMetadata>}
 */
function followsFrom({ grant_types: grants = [], redirect_uris: uris = [] }) {
  return {
    redirect_uris: uris,
    response_types: grants.includes('authorization_code') ? ['code'] : [],
    // Schemes of their own and ports of this machine are for programs on it (RFC 8252 §7).
    application_type: uris.every((uri) => uri.startsWith('https:')) ? 'web' : 'native'
  }
}

/**
 * What members mean together.
 * @param {ClientMetadata} metadata
 * @param {readonly string[]} scopes
 */
function requireConsistent({ scope, grant_types: grants = [], token_endpoint_auth_method: method }, scopes) {
  /** @type {Record<string, string>} */
  const wrong = {}
  const known = [...scopes, 'openid']
  const unknown = splitScope(scope).filter((name) => !known.includes(name))
  if (unknown.length > 0) wrong['/allowed_scopes'] = `must be among ${known.join(', ')}: not ${unknown.join(', ')}`
  if (method === 'none' && grants.includes('client_credentials'))
    wrong['/allowed_grant_types'] = 'client_credentials is for confidential clients only (RFC 6749 §4.4)'
  if (Object.keys(wrong).length > 0) throw unprocessable(wrong)
}

/**
 * The member that oidc-provider's error is about, by the API's name.
 * @param {Error} error
 * @param {string} detail which begins with, or contains, oidc-provider's name for it
 */
function pointerTo(error, detail) {
  if (error instanceof errors.InvalidRedirectUri) return '/redirect_uris'
  const found = MEMBERS.find(({ known }) => new RegExp(`\\b${known}s?\\b`).test(detail))
  return `/${found?.name ?? 'client_type'}`
}

/**
 * @template {{ created_at: string }} T
 * @param {T[]} all
 * @param {keyof T} id
 */
function byAge(all, id) {
  return all.toSorted((a, b) => compare(a.created_at, b.created_at) || compare(String(a[id]), String(b[id])))
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : Number(a > b)
}

/**
 * @template T
 * @param {T[]} all
 * @param {Record<string, (one: T, value: string) => boolean>} filters
 * @param {URLSearchParams} query
 */
function page(all, filters, query) {
  /** @type {Record<string, string>} */
  const wrong = {}
  const number = positive(query, 'page[number]', 1, Number.MAX_SAFE_INTEGER, wrong)
  const size = positive(query, 'page[size]', 20, MAX_PAGE_SIZE, wrong)
  for (const name of query.keys()) {
    if (name.startsWith('filter[') && !Object.hasOwn(filters, name)) wrong[name] = 'there is no such filter'
  }
  if (Object.keys(wrong).length > 0) throw unprocessable(wrong)
  const found = all.filter((one) =>
    Object.entries(filters).every(([name, matches]) => {
      const value = query.get(name)
      return value === null || matches(one, value)
    })
  )
  return {
    data: found.slice((number - 1) * size, number * size),
    meta: {
      page_number: number,
      page_size: size,
      total_pages: Math.ceil(found.length / size),
      total_results: found.length
    }
  }
}

/**
 * @param {URLSearchParams} query
 * @param {string} name
 * @param {number} otherwise
 * @param {number} most
 * @param {Record<string, string>} wrong
 */
function positive(query, name, otherwise, most, wrong) {
  const value = query.get(name)
  if (value === null) return otherwise
  const number = Number(value)
  if (!/^\d+$/.test(value) || number < 1 || number > most) wrong[name] = `from 1 to ${most}`
  return number
}

/**
 * @param {Record<string, unknown>} body
 * @param {readonly string[]} required
 * @returns {Partial<ClientMetadata>}
 */
function readMembers(body, required) {
  /** @type {Record<string, string>} */
  const wrong = {}
  /** @type {Record<string, unknown>} */
  const metadata = {}
  for (const name of required) if (body[name] === undefined) wrong[`/${name}`] = 'is required'
  const type = body['client_type']
  if (required.includes('client_type') && type !== undefined && type !== 'public' && type !== 'confidential')
    wrong['/client_type'] = 'must be public or confidential'
  for (const { name, known, isValid, expected, convert } of MEMBERS) {
    const value = body[name]
    if (value === undefined) continue
    if (!isValid(value)) wrong[`/${name}`] = `must be ${expected}`
    else metadata[known] = value === null ? undefined : convert(value)
  }
  if (Object.keys(wrong).length > 0) throw unprocessable(wrong)
  return metadata
}

/**
 * @param {string} name
 * @param {string} known
 * @param {(value: unknown) => boolean} isValid
 * @param {string} expected
 * @param {(value: any) => unknown} [convert]
 */
function member(name, known, isValid, expected, convert = (value) => value) {
  return { name, known, isValid, expected, convert }
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === 'string' && value.length > 0 && value.length <= 200
}

/** @param {unknown} value */
function isNames(value) {
  return Array.isArray(value) && value.every((one) => typeof one === 'string' && one !== '')
}

/** @param {unknown} value */
function isUri(value) {
  return value === null || (typeof value === 'string' && /^https?:/.test(value) && URL.canParse(value))
}
