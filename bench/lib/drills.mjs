// @ts-check
/**
 * How an operation is repeated and timed.
 *
 *   hot    as fast as it goes, the same tokens again and again
 *   turn   one in each turn of the event loop, as requests come to a server that is not busy
 *   burst  64 under way at once
 *   dpop   as `turn`, with a new proof each time; making it is not timed
 *   crowd  all at once
 *   bytes  allocated for one operation
 *   promises  that were the answer, of all
 *
 * A refusal ends when its header fields and its body are written, as an adapter would send them.
 *
 * Each call gets a new string, as an HTTP parser makes one for each request; what making it costs is nobody's.
 */
import { createPrivateKey, hash, randomUUID, sign } from 'node:crypto'
import { median } from './stats.mjs'

/** @typedef {import('./types.d.ts').Slice} Slice */
/** @typedef {import('./types.d.ts').Cost} Cost */
/** @typedef {(input: never) => unknown} Operation */

const AT_ONCE = 64
/** Most single calls of one slice that are timed for their median, where a call is short. */
const SINGLES = 4096
const isPromise = (/** @type {unknown} */ value) => typeof (/** @type {any} */ (value)?.then) === 'function'
const cpuNow = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}

/**
 * @param {import('./types.d.ts').Peer} peer
 * @param {import('./types.d.ts').Fixture} fixture
 * @returns {(slice: Slice) => Promise<Cost>}
 */
export function createDrills(peer, fixture) {
  /** @type {Map<string, () => unknown>} */
  const sources = new Map()
  /** @type {WeakMap<object, Operation>} */
  const warm = new WeakMap()
  /** @type {Operation | undefined} */
  let verify
  /** @type {Operation | undefined} */
  let verifyProof
  let isFull = false
  let hasAccepted = false

  /** The next input, and around again; in an order that no cache can like, but the same for all. @param {Slice} slice @param {string} [purpose] with a place of its own */
  function source({ tokens = '', distinct, drill }, purpose = '') {
    const key = `${drill === 'hot' || drill === 'bytes'} ${tokens} ${distinct} ${purpose}`
    const known = sources.get(key)
    if (known) return known
    const all = (fixture.tokens[tokens] ?? []).slice(0, distinct)
    if (all.length === 0) throw new Error(`no tokens ${tokens}`)
    const lines = all.map((token) => `Bearer ${token}`)
    const prepare = peer.prepare && ((/** @type {string} */ line) => peer.prepare?.(line))
    const inputs = prepare ? lines.map(prepare) : lines.map((line) => Buffer.from(line, 'latin1'))
    const picked = shuffled(inputs.length, drill === 'hot')
    let at = 0
    const step = () => {
      const input = inputs[/** @type {number} */ (picked[at])]
      at = at + 1 === picked.length ? 0 : at + 1
      return input
    }
    const next = prepare ? step : () => /** @type {any} */ (step()).latin1Slice()
    sources.set(key, next)
    return next
  }

  return async (slice) => {
    if (slice.drill === 'dpop') {
      verifyProof ??= /** @type {Operation} */ (
        await (peer.verifyPreparedProof?.(fixture) ?? peer.verifyProof?.(fixture))
      )
      const made = proofs(fixture.clients, fixture.audience, slice.n, peer.prepareProof)
      return turns({ operation: verifyProof, next: made(), another: made(), refuse: bare }, slice)
    }
    verify ??= /** @type {Operation} */ (await (peer.verifyPrepared?.(fixture) ?? peer.verify?.(fixture)))
    const next = source(slice)
    const { drill, distinct = 0, filled = false } = slice
    if (filled && !isFull) {
      isFull = true
      const others = source({ ...slice, tokens: 'others' })
      await repeated(verify, others, fixture.tokens['others']?.length ?? 0)
    }
    if (slice.expect === 'refused' && !hasAccepted) {
      hasAccepted = true
      const good = { next: source({ ...slice, tokens: 'rs256' }), another: noop, refuse: bare }
      await inTurns({ operation: verify, ...good }, ACCEPTED, 'good')
    }
    if (drill === 'hot' && warm.get(next) !== verify) {
      // Every cache holds what it can of them before anything counts.
      await repeated(verify, next, 4 * distinct)
      warm.set(next, verify)
    }
    if (drill === 'promises') return promises(verify, next, slice)
    if (drill === 'crowd') return crowd(verify, next, slice)
    if (drill === 'bytes') return bytes(verify, next, slice)
    if (drill === 'burst') return burst(verify, next, slice)
    const another = source(slice, 'for nobody')
    if (drill === 'hot') return hot(verify, next, slice, another)
    return turns({ operation: verify, next, another, refuse: peer.refuse ?? bare }, slice)
  }
}

/**
 * Tokens that are accepted before any is refused, as in a server: V8 compiles a function that has returned often, and not one
 * that has always thrown.
 */
const ACCEPTED = 6000

/**
 * Indices in a fixed disorder; for hot tokens drawn with repetition, so that it matters how many a cache holds.
 *
 * @param {number} length
 * @param {boolean} withRepetition
 */
function shuffled(length, withRepetition) {
  let seed = 1
  const random = (/** @type {number} */ below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  if (withRepetition) return Uint32Array.from({ length: length === 1 ? 1 : 4 * length }, () => random(length))
  const order = Uint32Array.from({ length }, (_, i) => i)
  for (let i = length - 1; i > 0; i--) {
    const j = random(i + 1)
    const other = order[j] ?? 0
    order[j] = order[i] ?? 0
    order[i] = other
  }
  return order
}

/**
 * The least that a server sends with a 401, where a package leaves that to its user.
 *
 * @param {unknown} error
 * @returns {import('./types.d.ts').Refusal}
 */
function bare(error) {
  return {
    headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
    body: JSON.stringify({ error: 'invalid_token', error_description: /** @type {Error} */ (error).message })
  }
}

/** @param {Operation} operation @param {() => unknown} next @param {Slice} slice @param {() => unknown} another as `next` @returns {Promise<Cost>} */
async function hot(operation, next, { n }, another) {
  const whole = await repeated(operation, next, n)
  const empty = await repeated(noop, another, n)
  const few = Math.max(8, Math.min(SINGLES, n >> 2))
  const call = (await singles(operation, next, few)) - (await singles(noop, another, few))
  return {
    wall: Math.max(0, whole.wall - empty.wall) / n,
    cpu: Math.max(0, whole.cpu - empty.cpu) / n,
    call: Math.max(0, call)
  }
}

const noop = () => undefined

/** @param {Operation} operation @param {() => unknown} next @param {number} n @returns {Promise<number>} microseconds of the median call, and of reading the clock */
async function singles(operation, next, n) {
  const each = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const input = /** @type {never} */ (next())
    const start = performance.now()
    const result = operation(input)
    if (isPromise(result)) await result
    each[i] = performance.now() - start
  }
  return 1000 * median(each)
}

/** @param {Operation} operation @param {() => unknown} next @param {number} n @returns {Promise<{ wall: number, cpu: number }>} of all together */
async function repeated(operation, next, n) {
  const before = cpuNow()
  const start = performance.now()
  for (let i = 0; i < n; i++) {
    const result = operation(/** @type {never} */ (next()))
    if (isPromise(result)) await result
  }
  return { wall: (performance.now() - start) * 1000, cpu: cpuNow() - before }
}

/**
 * @typedef {object} Work
 * @property {Operation} operation
 * @property {() => unknown} next
 * @property {() => unknown} another as `next`
 * @property {(error: unknown) => import('./types.d.ts').Refusal} refuse
 */

/** @param {Work} work @param {Slice} slice @returns {Promise<Cost>} */
async function turns(work, { n, expect = 'good' }) {
  const before = cpuNow()
  const each = await inTurns(work, n, expect)
  const between = cpuNow()
  // Nor is what turning the event loop costs anybody's.
  const empty = await emptyTurns(n, work.another)
  const wall = each.reduce((sum, value) => sum + value, 0)
  return { wall: wall / n, cpu: Math.max(0, between - before - empty) / n, call: median(each) }
}

/**
 * @param {Work} work
 * @param {number} n
 * @param {'good' | 'refused'} expect
 * @returns {Promise<Float64Array>} microseconds inside each operation, until it is settled and its refusal is written
 */
function inTurns({ operation, next, refuse }, n, expect) {
  return new Promise((resolve, reject) => {
    const each = new Float64Array(n)
    let done = 0
    let start = 0
    const settled = () => {
      each[done++] = (performance.now() - start) * 1000
      if (done === n) resolve(each)
      else setImmediate(step)
    }
    const accepted = () => {
      if (expect === 'good') settled()
      else reject(new Error('a token that should be refused was not'))
    }
    const refused = (/** @type {unknown} */ error) => {
      if (expect === 'good') return reject(error)
      const { headers, body } = refuse(error)
      if (body === '' || Object.keys(headers).length === 0) return reject(new Error('a refusal says nothing'))
      settled()
    }
    const step = () => {
      const input = /** @type {never} */ (next())
      start = performance.now()
      let result
      try {
        result = operation(input)
      } catch (error) {
        return refused(error)
      }
      if (isPromise(result)) /** @type {Promise<unknown>} */ (result).then(accepted, refused)
      else accepted()
    }
    setImmediate(step)
  })
}

/** @param {number} n @param {() => unknown} next @returns {Promise<number>} microseconds of processor time */
function emptyTurns(n, next) {
  return new Promise((resolve) => {
    const before = cpuNow()
    let left = n
    const step = () => {
      next()
      if (--left > 0) setImmediate(step)
      else resolve(cpuNow() - before)
    }
    setImmediate(step)
  })
}

/** @param {Operation} operation @param {() => unknown} next @param {Slice} slice @returns {Promise<Cost>} */
function burst(operation, next, { n }) {
  return new Promise((resolve, reject) => {
    const before = cpuNow()
    const start = performance.now()
    let left = n
    let settled = 0
    const done = () => {
      if (++settled === n) {
        resolve({ wall: ((performance.now() - start) * 1000) / n, cpu: (cpuNow() - before) / n, call: Number.NaN })
      } else if (left > 0) setImmediate(one)
    }
    const one = () => {
      if (left-- <= 0) return
      try {
        const result = operation(/** @type {never} */ (next()))
        if (isPromise(result)) /** @type {Promise<unknown>} */ (result).then(done, reject)
        else done()
      } catch (error) {
        reject(error)
      }
    }
    for (let i = 0; i < AT_ONCE; i++) setImmediate(one)
  })
}

/** @param {Operation} operation @param {() => unknown} next @param {Slice} slice @returns {Promise<Cost>} */
async function crowd(operation, next, { n }) {
  const before = cpuNow()
  const start = performance.now()
  await Promise.all(Array.from({ length: n }, () => operation(/** @type {never} */ (next()))))
  return { wall: ((performance.now() - start) * 1000) / n, cpu: (cpuNow() - before) / n, call: Number.NaN }
}

/** Counts, where the answer is known by then. @param {Operation} operation @param {() => unknown} next @param {Slice} slice @returns {Promise<Cost>} */
async function promises(operation, next, { n }) {
  await operation(/** @type {never} */ (next()))
  const answers = Array.from({ length: n }, () => operation(/** @type {never} */ (next())))
  const value = answers.filter(isPromise).length
  return { wall: value, cpu: value, call: Number.NaN }
}

/**
 * Allocated for one operation beside its input; `wall` and `cpu` both hold bytes.
 *
 * @param {Operation} operation
 * @param {() => unknown} next
 * @param {Slice} slice
 * @returns {Promise<Cost>}
 */
async function bytes(operation, next, { n }) {
  const allocated = async (/** @type {Operation} */ what) => {
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < n; i++) {
      const result = what(/** @type {never} */ (next()))
      if (isPromise(result)) await result
    }
    return (process.memoryUsage().heapUsed - before) / n
  }
  const value = (await allocated(operation)) - (await allocated(noop))
  return { wall: value, cpu: value, call: Number.NaN }
}

/** Characters of a field. */
const MAX_FIELD = 2048
/** Of one slice after the other: memory of its own for each would bring the collector into what is measured. */
let arena = Buffer.alloc(0)

/**
 * As many new proofs as there will be requests, each client in turn.
 *
 * @param {readonly import('./types.d.ts').DpopClient[]} clients
 * @param {string} audience
 * @param {number} n
 * @param {(request: import('./types.d.ts').Proof) => unknown} [prepare] before the clock starts
 * @returns {() => () => unknown} the next one, for each who goes through them
 */
function proofs(clients, audience, n, prepare) {
  if (arena.length < 2 * n * MAX_FIELD) arena = Buffer.alloc(2 * n * MAX_FIELD)
  const lengths = new Uint16Array(2 * n)
  for (let i = 0; i < n; i++) {
    const client = clients[serial++ % clients.length]
    if (!client) throw new Error('no clients')
    lengths[2 * i] = arena.write(`DPoP ${client.token}`, 2 * i * MAX_FIELD, 'latin1')
    lengths[2 * i + 1] = arena.write(proof(client, audience), (2 * i + 1) * MAX_FIELD, 'latin1')
  }
  const field = (/** @type {number} */ i) => arena.toString('latin1', i * MAX_FIELD, i * MAX_FIELD + (lengths[i] ?? 0))
  const one = (/** @type {number} */ i) => ({ authorization: field(2 * i), proof: field(2 * i + 1) })
  const prepared = prepare && Array.from({ length: n }, (_, i) => prepare(one(i)))
  return () => {
    let at = 0
    return () => {
      const i = at
      at = (at + 1) % n
      return prepared ? prepared[i] : one(i)
    }
  }
}

let serial = 0
/** @type {Map<object, { key: import('node:crypto').KeyObject, header: string, ath: string }>} */
const keys = new Map()

/** @param {import('./types.d.ts').DpopClient} client @param {string} audience */
function proof(client, audience) {
  let known = keys.get(client)
  if (!known) {
    const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: client.publicJwk }
    known = {
      key: createPrivateKey({ key: client.privateJwk, format: 'jwk' }),
      header: Buffer.from(JSON.stringify(header)).toString('base64url'),
      ath: hash('sha256', client.token, 'base64url')
    }
    keys.set(client, known)
  }
  const jti = randomUUID()
  const payload = { jti, htm: 'GET', htu: `${audience}/items`, iat: Math.floor(Date.now() / 1000), ath: known.ath }
  const input = `${known.header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
  const signature = sign('sha256', Buffer.from(input), { key: known.key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}
