// @ts-check
/**
 * A process with two or more lanes of work that take turns every few milliseconds: a peer and the raw signature check,
 * or two builds of one package. So close together, whatever else the machine does slows all lanes alike, and ratios
 * hold even where the numbers do not.
 *
 * `node --expose-gc contender.mjs <fixture file> <lanes as JSON>`. A message is a task; the answer has the cost in each
 * lane.
 */
import { readFileSync } from 'node:fs'
import { createDrills } from './drills.mjs'

/** @typedef {import('./types.d.ts').Task} Task */
/** @typedef {import('./types.d.ts').Cost} Cost */

const [file = '', lanes = '[]'] = process.argv.slice(2)
/** @type {import('./types.d.ts').Fixture} */
const fixture = JSON.parse(readFileSync(file, 'utf8'))

/** @type {ReturnType<typeof createDrills>[]} */
const drills = []
for (const { module, variant } of /** @type {import('./types.d.ts').Lane[]} */ (JSON.parse(lanes))) {
  const { default: peer } = await import(new URL(`../peers/${module}.mjs`, import.meta.url).href)
  drills.push(
    createDrills(peer, {
      ...fixture,
      package: /** @type {string} */ (variant?.['package'] ?? fixture.package),
      variant
    })
  )
}

/** Operations before code can be called hot: fewer, and half of it has not been optimized yet. For slow ones, so long at most. */
const ENOUGH = { operations: 12_000, milliseconds: 1500 }

/** How many operations take so long, by task: found out once, which also makes the code hot. @type {Map<string, number[]>} */
const sizes = new Map()

/** @param {Task} task */
async function sizesOf(task) {
  const key = JSON.stringify(task)
  const known = sizes.get(key)
  if (known) return known
  /** @type {number[]} */
  const found = []
  for (const [lane, drill] of drills.entries()) {
    let n = task.n ?? 64
    const start = performance.now()
    const isHot = (/** @type {number} */ done) =>
      done >= ENOUGH.operations || performance.now() - start > ENOUGH.milliseconds
    for (let i = 0, done = 0; (i < 8 || !isHot(done)) && task.n === undefined; i++) {
      done += n
      const { wall } = await drill({ ...task, ...task.lanes?.[lane], n })
      // A slice that other programs disturbed may seem to have cost nothing: the next one is not that much longer.
      n = Math.min(400_000, 4 * n, Math.max(8, Math.round((task.milliseconds * 1000) / Math.max(wall, 0.02))))
    }
    found.push(n)
  }
  sizes.set(key, found)
  return found
}

/** There and back again, so that nobody is always first. @param {Task} task @returns {Promise<Cost[]>} */
async function round(task) {
  const n = await sizesOf(task)
  const costs = drills.map(() => ({ wall: 0, cpu: 0, call: 0 }))
  const there = drills.map((_, i) => i)
  for (const i of [...there, ...there.toReversed()]) {
    const cost = await drills[i]?.({ ...task, ...task.lanes?.[i], n: n[i] ?? 1 })
    const sum = costs[i]
    if (!cost || !sum) continue
    sum.wall += cost.wall / 2
    sum.cpu += cost.cpu / 2
    sum.call += cost.call / 2
  }
  return costs
}

process.on('message', (/** @type {Task} */ task) => {
  round(task).then(
    (costs) => process.send?.({ costs }),
    (error) => process.send?.({ error: String(error?.stack ?? error) })
  )
})
process.once('disconnect', () => process.exit())
process.send?.({ ready: true })
