// @ts-check
/** oidc-provider's storage, in a Map: enough for a demo, shared by the provider instances before and after a rotation. */

/** @typedef {{ payload: import('oidc-provider').AdapterPayload, until: number }} Entry milliseconds since the epoch */

/** @returns {import('oidc-provider').AdapterFactory} */
export function createMemoryAdapter() {
  /** @type {Map<string, Entry>} */
  const entries = new Map()

  return (model) => {
    const prefix = `${model}:`

    /** @param {string} id */
    const find = (id) => {
      const entry = entries.get(prefix + id)
      if (!entry) return undefined
      if (entry.until > Date.now()) return entry.payload
      entries.delete(prefix + id)
      return undefined
    }

    /** @param {(payload: import('oidc-provider').AdapterPayload) => boolean} matches */
    const search = (matches) => {
      for (const [key, { payload }] of entries) {
        if (key.startsWith(prefix) && matches(payload)) return find(key.slice(prefix.length))
      }
      return undefined
    }

    return {
      upsert: async (id, payload, expiresIn = Number.POSITIVE_INFINITY) => {
        entries.set(prefix + id, { payload, until: Date.now() + expiresIn * 1000 })
      },
      find: async (id) => find(id),
      findByUid: async (uid) => search((payload) => payload.uid === uid),
      findByUserCode: async (userCode) => search((payload) => payload.userCode === userCode),
      consume: async (id) => {
        const payload = find(id)
        if (payload) payload.consumed = Math.floor(Date.now() / 1000)
      },
      destroy: async (id) => {
        entries.delete(prefix + id)
      },
      revokeByGrantId: async (grantId) => {
        for (const [key, { payload }] of entries) {
          if (key.startsWith(prefix) && payload.grantId === grantId) entries.delete(key)
        }
      }
    }
  }
}
