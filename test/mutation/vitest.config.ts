import { defineConfig } from 'vitest/config'

/** For `npm run mutation`, which says which tests are to find out what is broken: those of one source file. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: (process.env['MUTATION_TESTS'] ?? '').split(',').filter((one) => one !== ''),
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
