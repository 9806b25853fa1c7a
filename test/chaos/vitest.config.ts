import { defineConfig } from 'vitest/config'

/** `npm run test:chaos`: apart from `npm test`, because it takes minutes and is about counts of whole runs. Runs every night and before each release. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/chaos/reliability.ts'],
    setupFiles: ['test/support/quiet.ts'],
    testTimeout: 180_000,
    hookTimeout: 60_000,
    reporters: ['default', 'json'],
    outputFile: { json: 'coverage/chaos.json' }
  }
})
