import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/quiet.ts'],
    // Two cores are enough for everybody; sockets, child processes and RSA keys are what takes the time.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Reporters and thresholds are in scripts/test.mjs.
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts', 'adapters/**/*.ts', 'integrations/**/*.ts', 'test-kit/**/*.ts'],
      // The command itself is run as a process of its own.
      exclude: ['src/types.ts', 'src/cli/main.ts', 'adapters/express-augment.ts']
    }
  }
})
