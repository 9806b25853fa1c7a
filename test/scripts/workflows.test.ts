/** What docs/security.md promises of releases, read from the workflows themselves. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const FOLDER = join(ROOT, '.github/workflows')
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8').replace(/^\s*#.*\n/gm, '')
const release = read('release.yml')

/** The lines of each job, by its name. */
const jobs = new Map(
  (release.split(/^jobs:\n/m)[1] ?? '').split(/^ {2}(?=\S)/m).flatMap((text): [string, string][] => {
    const name = /^([\w-]+):\n/.exec(text)?.[1]
    return name === undefined ? [] : [[name, text]]
  })
)
const job = (name: string): string => jobs.get(name) ?? ''

/** The rights that a job names, one a line. */
function rightsOf(text: string): string[] {
  const [, lines = ''] = /^ {4}permissions:\n((?: {6}.*\n)+)/m.exec(text) ?? []
  return lines.split('\n').flatMap((line) => line.trim() || [])
}

describe('a release', () => {
  test('is four jobs, each after the one before', () => {
    expect([...jobs.keys()]).toEqual(['build', 'publish', 'attest', 'release'])
    expect(job('build')).not.toContain('needs:')
    expect(job('publish')).toMatch(/^ {4}needs: build$/m)
    expect(job('attest')).toMatch(/^ {4}needs: publish$/m)
    expect(job('release')).toMatch(/^ {4}needs: attest$/m)
  })

  test('builds and tests without a right to change anything, and no job has a right that it does not name', () => {
    expect(release).toMatch(/^permissions: \{\}$/m)
    expect([...jobs.values()].map(rightsOf)).toEqual([
      ['contents: read'],
      ['id-token: write'],
      ['id-token: write', 'attestations: write'],
      ['contents: write']
    ])
    expect(release.match(/write-all|read-all|secrets\./g)).toBeNull()
    expect(job('build')).toContain('persist-credentials: false')
    expect(job('build')).not.toMatch(/github\.token|environment:/)
  })

  test('runs the code of dependencies in the first job alone', () => {
    expect(job('build')).toMatch(/run: bash \.ci\/run$/m)
    for (const name of ['publish', 'attest', 'release']) {
      expect(job(name), name).not.toMatch(
        /actions\/checkout|npm (ci|install|i|run|test|pack|exec)\b|npx|\.ci\/run|node /
      )
      expect(
        job(name)
          .match(/uses: \S+/g)
          ?.every((line) => line.startsWith('uses: actions/')),
        name
      ).toBe(true)
    }
    expect(job('publish')).toMatch(/run: npm publish \.\/package\.tgz --ignore-scripts --provenance --access public$/m)
    expect(job('build')).toContain('npm pack --ignore-scripts')
    expect(release.match(/npm publish/g)).toHaveLength(1)
  })

  test('publishes the file whose SHA-512 the first job printed, and compares before it publishes', () => {
    expect(job('build')).toMatch(/^ {6}sha512: \$\{\{ steps\.pack\.outputs\.sha512 \}\}$/m)
    expect(job('publish')).toMatch(/^ {10}SHA512: \$\{\{ needs\.build\.outputs\.sha512 \}\}$/m)
    const steps = job('publish')
    const order = ['actions/download-artifact', 'sha512sum --check', 'npm publish'].map((text) => steps.indexOf(text))
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(order).not.toContain(-1)
  })

  test('attests the evidence of its first job, with the history that its dates need, and attaches it', () => {
    expect(job('build')).toContain('fetch-depth: 0')
    expect(job('build')).toMatch(/run: node scripts\/evidence\.mjs --run conformance,fuzz$/m)
    expect(job('attest')).toMatch(
      /uses: actions\/attest-build-provenance@.*\n {8}with:\n {10}subject-path: evidence\.json$/m
    )
    expect(job('release')).toMatch(/gh release create .* sbom\.cdx\.json evidence\.json$/m)
  })

  test('the comparison passes for that file, and fails for another file, another digest and none', () => {
    mkdirSync(join(ROOT, 'test/.tmp'), { recursive: true })
    const folder = mkdtempSync(join(ROOT, 'test/.tmp/release-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const command = /run: (echo .*sha512sum --check.*)/.exec(job('publish'))?.[1] ?? ''
    const passes = (content: string, SHA512: string): boolean => {
      writeFileSync(join(folder, 'package.tgz'), content)
      try {
        // As GitHub's runner starts it.
        execFileSync('bash', ['-e', '-c', command], { cwd: folder, env: { ...process.env, SHA512 }, stdio: 'ignore' })
        return true
      } catch {
        return false
      }
    }
    const digest = createHash('sha512').update('built').digest('hex')
    expect(passes('built', digest)).toBe(true)
    expect(passes('other', digest)).toBe(false)
    expect(passes('built', createHash('sha512').update('other').digest('hex'))).toBe(false)
    expect(passes('built', '')).toBe(false)
  })
})

test('every workflow names its actions by the hash of a commit, with the version beside it', () => {
  for (const name of readdirSync(FOLDER)) {
    const uses = read(name).match(/uses:.*/g) ?? []
    expect(uses.length, name).toBeGreaterThan(0)
    for (const line of uses) expect(line, name).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  }
})

test('CI installs without scripts of dependencies, and only one locked package has any', () => {
  const commands = readFileSync(join(ROOT, '.ci/run'), 'utf8').match(/npm ci\b.*/g)
  expect(commands).toEqual(['npm ci --ignore-scripts --no-audit --no-fund'])
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { hasInstallScript?: boolean }>
  }
  const withScript = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript === true)
  // Of Apollo Server, for tests and examples: it compares version numbers, and prints a line.
  expect(withScript.map(([path]) => path)).toEqual(['node_modules/@apollo/protobufjs'])
})

test('CI runs what needs a server or a browser once more with both hidden, and ends with the counts', () => {
  const lines = readFileSync(join(ROOT, '.ci/run'), 'utf8').trimEnd().split('\n')
  expect(lines).toContain(
    'step env REDIS_SERVER=hidden CHROMIUM=hidden npm test -- test/redis test/examples/playground'
  )
  expect(lines).toContain('step npm test -- --no-skips')
  expect(lines.at(-1)).toBe('node scripts/test.mjs --totals')
})
