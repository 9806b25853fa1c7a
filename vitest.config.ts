import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The longest file by far begins first: it would be the last one, alone on one of two cores for two minutes. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith('/test/scripts/simulate.test.ts')
    return [...sorted.filter(isLong), ...sorted.filter((one) => !isLong(one))]
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/quiet.ts'],
    // Two cores are enough for everybody; sockets, child processes and RSA keys are what takes the time.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Reporters and thresholds are in scripts/test.mjs.
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts', 'adapters/**/*.ts', 'integrations/**/*.ts', 'test-kit/**/*.ts', 'conformance/**/*.ts'],
      // The command and its authorization server run as processes of their own.
      exclude: ['src/types.ts', 'src/cli/main.ts', 'src/cli/issuer/**', 'adapters/express-augment.ts']
    }
  }
})
