import { defineConfig } from 'vitest/config'

/** `npm run conformance:suite`: apart from `npm test`, because outages and revocations take minutes. Runs every night. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/conformance/*.suite.ts'],
    setupFiles: ['test/support/quiet.ts'],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 300_000
  }
})
