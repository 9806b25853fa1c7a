import { defineConfig } from 'vitest/config'
import { changed } from './patches.js'

/** `npm run simulate`: the package with smaller caches, and for `--bugs` with one deliberate bug. */
export default defineConfig({
  plugins: [changed(process.env['SIMULATE_BUG'])],
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/simulation/campaign.ts'],
    setupFiles: ['test/support/quiet.ts'],
    testTimeout: 0,
    hookTimeout: 60_000,
    reporters: ['default']
  }
})
