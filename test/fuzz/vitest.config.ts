import { defineConfig } from 'vitest/config'

/** `npm run fuzz`: apart from `npm test`, which replays the corpus only. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/fuzz/campaign.ts'],
    execArgv: ['--expose-gc'],
    testTimeout: 0,
    hookTimeout: 60_000,
    fileParallelism: false,
    reporters: ['default']
  }
})
