import { defineConfig } from 'vitest/config'

/** `npm run postgres`: apart from `npm test`, because it needs PostgreSQL. Runs every night. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/postgres/log.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
