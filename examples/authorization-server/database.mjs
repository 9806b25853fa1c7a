// @ts-check
/**
 * What must survive a restart, in one SQLite file: oidc-provider's models, what the management API says of clients and
 * grants beyond them, and a few secrets. `:memory:` keeps all of it in this process.
 */
import { readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import sqlite from 'node-sqlite3-wasm'

/** @typedef {import('oidc-provider').AdapterPayload} Payload */

/** Whoever revokes a grant revokes what was issued under it, of whatever kind. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS models (
    kind TEXT NOT NULL, id TEXT NOT NULL, payload TEXT NOT NULL, uid TEXT, grant_id TEXT, ends REAL,
    PRIMARY KEY (kind, id)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS models_of_grant ON models (grant_id);
  CREATE TABLE IF NOT EXISTS clients (
    client_id TEXT PRIMARY KEY, verified INTEGER NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS grant_uses (grant_id TEXT PRIMARY KEY, used_at TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
`

/** @typedef {ReturnType<typeof openDatabase>} AuthorizationDatabase */

/**
 * @param {string} file `:memory:`, or where it is or shall be
 * @throws {Error} another process has it open
 */
export function openDatabase(file) {
  const release = file === ':memory:' ? () => {} : claim(file)
  const database = new sqlite.Database(file)
  database.exec(SCHEMA)
  const now = () => Date.now() / 1000

  /** There is nothing in here but texts and numbers. @typedef {Record<string, string | number | null>} Row */
  /** @param {string} sql @param {string[]} values */
  const get = (sql, values) => /** @type {Row | null} */ (database.get(sql, values))

  /** @param {string} where @param {(string | number)[]} values @returns {{ id: string, payload: Payload }[]} */
  const select = (where, values) => {
    const sql = `SELECT id, payload FROM models WHERE ${where} AND (ends IS NULL OR ends > ?) ORDER BY id`
    const rows = /** @type {Row[]} */ (database.all(sql, [...values, now()]))
    return rows.map(({ id, payload }) => ({ id: String(id), payload: JSON.parse(String(payload)) }))
  }

  return {
    /** @param {string} kind @param {string} id @returns {Payload | undefined} */
    find: (kind, id) => select('kind = ? AND id = ?', [kind, id])[0]?.payload,
    /** @param {string} kind @param {string} uid @returns {Payload | undefined} */
    findByUid: (kind, uid) => select('kind = ? AND uid = ?', [kind, uid])[0]?.payload,
    /** @param {string} kind */
    all: (kind) => select('kind = ?', [kind]),
    /** @param {string} kind @param {string} id @param {Payload} payload @param {number} [ttl] seconds; default: for ever */
    save: (kind, id, payload, ttl) => {
      database.run('DELETE FROM models WHERE ends <= ?', [now()])
      database.run('INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?, ?)', [
        kind,
        id,
        JSON.stringify(payload),
        payload.uid ?? null,
        payload.grantId ?? null,
        ttl === undefined ? null : now() + ttl
      ])
    },
    /** @param {string} kind @param {string} id */
    consume: (kind, id) => {
      database.run("UPDATE models SET payload = json_set(payload, '$.consumed', ?) WHERE kind = ? AND id = ?", [
        Math.floor(now()),
        kind,
        id
      ])
    },
    /** @param {string} kind @param {string} id */
    remove: (kind, id) => {
      database.run('DELETE FROM models WHERE kind = ? AND id = ?', [kind, id])
    },
    /** Everything that was issued under a grant; not the grant. @param {string} grantId */
    revoke: (grantId) => {
      database.run('DELETE FROM models WHERE grant_id = ?', [grantId])
    },

    /** @param {string} clientId @param {boolean} verified somebody here looked into who it is */
    noteClient: (clientId, verified) => {
      const time = new Date().toISOString()
      database.run('INSERT OR IGNORE INTO clients VALUES (?, ?, ?, ?)', [clientId, verified, time, time])
    },
    /** @param {string} clientId */
    noteUpdate: (clientId) => {
      database.run('UPDATE clients SET updated_at = ? WHERE client_id = ?', [new Date().toISOString(), clientId])
    },
    /** @param {string} clientId @returns {{ verified: boolean, created_at: string, updated_at: string } | undefined} */
    clientNotes: (clientId) => {
      const row = get('SELECT * FROM clients WHERE client_id = ?', [clientId])
      return row
        ? { verified: row.verified === 1, created_at: String(row.created_at), updated_at: String(row.updated_at) }
        : undefined
    },
    /** The client, and whatever was issued or granted to it. @param {string} clientId */
    removeClient: (clientId) => {
      database.run("DELETE FROM models WHERE json_extract(payload, '$.clientId') = ?", [clientId])
      database.run("DELETE FROM models WHERE kind = 'Client' AND id = ?", [clientId])
      database.run('DELETE FROM clients WHERE client_id = ?', [clientId])
    },
    /** A token of the grant was obtained, or asked about. @param {string} grantId */
    noteUse: (grantId) => {
      database.run('INSERT OR REPLACE INTO grant_uses VALUES (?, ?)', [grantId, new Date().toISOString()])
    },
    /** @param {string} grantId @returns {string | null} */
    lastUse: (grantId) => {
      const row = get('SELECT used_at FROM grant_uses WHERE grant_id = ?', [grantId])
      return row ? String(row.used_at) : null
    },

    /**
     * Made once, and kept.
     * @template T
     * @param {string} name
     * @param {() => T | Promise<T>} make
     * @returns {Promise<T>}
     */
    secret: async (name, make) => {
      const row = get('SELECT value FROM secrets WHERE name = ?', [name])
      if (row) return JSON.parse(String(row.value))
      const made = await make()
      database.run('INSERT INTO secrets VALUES (?, ?)', [name, JSON.stringify(made)])
      return made
    },
    /** @param {string} name @param {unknown} value */
    replaceSecret: (name, value) => {
      database.run('INSERT OR REPLACE INTO secrets VALUES (?, ?)', [name, JSON.stringify(value)])
    },

    close: () => {
      if (!database.isOpen) return
      database.close()
      release()
    }
  }
}

/** @param {AuthorizationDatabase} database @returns {import('oidc-provider').AdapterFactory} */
export function createAdapter(database) {
  return (kind) => ({
    upsert: async (id, payload, ttl) => database.save(kind, id, payload, ttl),
    find: async (id) => database.find(kind, id),
    findByUid: async (uid) => database.findByUid(kind, uid),
    // The device flow is not offered.
    findByUserCode: async () => undefined,
    consume: async (id) => database.consume(kind, id),
    destroy: async (id) => database.remove(kind, id),
    revokeByGrantId: async (grantId) => database.revoke(grantId)
  })
}

/**
 * The driver locks a file by a folder beside it, which stays behind when a process is killed. Whose it is stands in a
 * file of ours.
 * @param {string} file
 */
function claim(file) {
  const owner = `${file}.pid`
  const lock = `${file}.lock`
  const pid = Number(readIfThere(owner) ?? Number.NaN)
  if (pid !== process.pid && isAlive(pid)) throw new Error(`${file} is in use by process ${pid}`)
  try {
    rmdirSync(lock)
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error
  }
  writeFileSync(owner, String(process.pid))
  return () => rmSync(owner, { force: true })
}

/** @param {string} file */
function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return Number.isInteger(pid) && process.kill(pid, 0)
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM'
  }
}
