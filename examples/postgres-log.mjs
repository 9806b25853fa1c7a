// @ts-check
/**
 * A log of revocations in PostgreSQL, for an API that has PostgreSQL and no Redis: the option `shared.log`. Copy this file.
 *
 *   import pg from 'pg'
 *   const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
 *   await createTable(pool)
 *   const log = postgresLog(pool, { listen: () => new pg.Client({ connectionString: process.env.DATABASE_URL }) })
 *
 * Each append locks the row of its log until it commits, so entries become visible in the order of their positions. A sequence
 * alone would not do: a reader could see entry 8 while entry 7 is not committed, continue after 8, and never see 7.
 *
 * Commits must be durable: leave `synchronous_commit` on, and with a standby that may be promoted, make it synchronous.
 */

/**
 * @import { Log, LogAppending, LogReading } from 'oauth-resource-server'
 * @typedef {{ query(text: string, values?: unknown[]): Promise<{ rows: Record<string, string>[] }> }} Queries
 * @typedef {Queries & { connect(): Promise<Queries & { release(error?: Error): void }> }} Pool
 * @typedef {Queries & {
 *   connect(): Promise<unknown>,
 *   end(): Promise<unknown>,
 *   on(event: 'notification' | 'error', listener: (argument: { payload?: string }) => void): unknown
 * }} Listener
 */

const CHANNEL = 'oauth_log'

/** Creates the tables. @param {Queries} pool */
export async function createTable(pool) {
  await pool.query(`
    CREATE TABLE IF NOT EXISTS oauth_log (
      name text NOT NULL,
      position bigint NOT NULL,
      value text NOT NULL,
      appended timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (name, position)
    );
    -- One row a log: its newest position, the newest one that appends dropped, and its number of entries.
    CREATE TABLE IF NOT EXISTS oauth_log_state (
      name text PRIMARY KEY,
      last bigint NOT NULL,
      dropped bigint NOT NULL,
      length bigint NOT NULL
    )`)
}

/**
 * @param {Pool} pool
 * @param {{ maxEntries?: number, listen?: () => Listener }} [options]  `listen` creates a client for LISTEN, which must not be
 * one of the pool; without it readers look once a second
 * @returns {Log}
 */
export function postgresLog(pool, { maxEntries = 200_000, listen } = {}) {
  /** @type {Log} */
  const log = {
    append: (name, value, how) => inTransaction(pool, (client) => append(client, name, value, how, maxEntries)),
    read: (name, how) => read(pool, name, how)
  }
  return listen === undefined ? log : { ...log, wake: (name, listener) => wake(listen(), name, listener) }
}

/**
 * @template T
 * @param {Pool} pool
 * @param {(client: Queries) => Promise<T>} run
 */
async function inTransaction(pool, run) {
  const client = await pool.connect()
  /** @type {Error | undefined} */
  let broken
  try {
    await client.query('BEGIN')
    const result = await run(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((cause) => {
      broken = cause
    })
    throw error
  } finally {
    client.release(broken)
  }
}

/**
 * @param {Queries} client
 * @param {string} name
 * @param {string} value
 * @param {LogAppending} how
 * @param {number} maxEntries
 */
async function append(client, name, value, { keep, reserve, dropTo }, maxEntries) {
  // Locks the row until the transaction ends, so that no later position can commit before this one.
  // The first position is a time in microseconds, so that a log that was deleted does not give a position twice.
  await client.query(
    `INSERT INTO oauth_log_state AS old VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0, 1)
     ON CONFLICT (name) DO UPDATE SET last = old.last + 1, length = old.length + 1`,
    [name]
  )
  await drop(client, name, "appended < clock_timestamp() - $2 * interval '1 second'", keep)
  const { rows } = await client.query('SELECT last, length FROM oauth_log_state WHERE name = $1', [name])
  const { last = '', length } = rows[0] ?? {}
  // The transaction is rolled back then: nothing was dropped either.
  if (Number(length) > Math.floor(maxEntries * (1 - reserve) + 1e-6))
    throw Object.assign(new Error(`the log has no room: ${maxEntries} entries`), { name: 'LogFull' })
  // Only a position that the log holds drops: that of a server that was lost must not drop newer entries.
  if (dropTo !== undefined)
    await drop(
      client,
      name,
      'position <= $2 AND EXISTS (SELECT FROM oauth_log WHERE name = $1 AND position = $2)',
      dropTo
    )
  await client.query('INSERT INTO oauth_log (name, position, value) VALUES ($1, $2, $3)', [name, last, value])
  await client.query('SELECT pg_notify($1, $2)', [CHANNEL, name])
  return last
}

/**
 * @param {Queries} client
 * @param {string} name
 * @param {string} condition  SQL of this file, about `$2`
 * @param {string | number} bound
 */
async function drop(client, name, condition, bound) {
  await client.query(
    `WITH gone AS (DELETE FROM oauth_log WHERE name = $1 AND ${condition} RETURNING position)
     UPDATE oauth_log_state SET length = length - (SELECT count(*) FROM gone),
       dropped = greatest(dropped, (SELECT max(position) FROM gone)) WHERE name = $1`,
    [name, bound]
  )
}

/**
 * One statement, so that all of its answer is of one moment. An entry of the reader that is gone was dropped by an append, or
 * the log is not whole. A restarted server, or another one, has another start time.
 *
 * @param {Queries} pool
 * @param {string} name
 * @param {LogReading} how
 */
async function read(pool, name, { after, first, limit }) {
  const { rows } = await pool.query(
    `SELECT
       (SELECT min(position) FROM oauth_log WHERE name = $1)::text AS first,
       coalesce(state.length, 0) AS length,
       coalesce(state.last, 0) >= coalesce($2::bigint, 0)
         AND ($3::bigint IS NULL OR $3 <= coalesce(state.dropped, 0)
           OR EXISTS (SELECT FROM oauth_log WHERE name = $1 AND position = $3)) AS "isWhole",
       extract(epoch FROM pg_postmaster_start_time())::text AS incarnation,
       (SELECT coalesce(json_agg(json_build_object('position', position::text, 'value', value) ORDER BY position), '[]')
         FROM (SELECT position, value FROM oauth_log WHERE name = $1 AND position > coalesce($2::bigint, 0)
           ORDER BY position LIMIT $4) AS page) AS entries
     FROM (SELECT $1::text AS name) AS log LEFT JOIN oauth_log_state AS state USING (name)`,
    [name, after ?? null, first ?? null, limit]
  )
  const [{ first: oldest, length, isWhole, incarnation, entries }] = /** @type {[any]} */ (rows)
  return { entries, first: oldest ?? undefined, length: Number(length), isWhole, incarnation }
}

/**
 * A connection of its own, because LISTEN lasts as long as its connection. When that breaks, readers look once a second.
 *
 * @param {Listener} client
 * @param {string} name
 * @param {() => void} listener
 */
async function wake(client, name, listener) {
  client.on('error', () => undefined)
  client.on('notification', ({ payload }) => {
    if (payload === name) listener()
  })
  await client.connect()
  await client.query(`LISTEN ${CHANNEL}`)
  return () => client.end()
}
