// @ts-check
/**
 * Tests this package against authorization servers from Debian: test/counterparts-nightly/debian.ts.
 *
 *   node scripts/counterparts.mjs [vitest arguments]             runs the tests; a server that is not installed is skipped
 *   node scripts/counterparts.mjs --install [vitest arguments]   installs the servers first; it needs root, or sudo
 *
 * A package that cannot be installed is told, and its server is skipped.
 */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** The packages of each server, installed one server at a time: one that is missing must not keep the others away. */
const PACKAGES = [
  ['glewlwyd', 'sqlite3'],
  ['python3-django-oauth-toolkit'],
  // The portal does not start without those after the first line, and its package does not depend on them.
  [
    'liblemonldap-ng-portal-perl',
    'libplack-perl',
    'nginx',
    'libgd-securityimage-perl',
    'libgd-perl',
    'perlmagick',
    'libstring-random-perl',
    'libio-string-perl',
    'libcrypt-openssl-bignum-perl',
    'libmime-tools-perl'
  ],
  ['ruby-doorkeeper', 'ruby-rails', 'ruby-sqlite3', 'puma']
]

const args = process.argv.slice(2)
if (args.includes('--install')) install()
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
const more = args.filter((arg) => arg !== '--install')
const config = 'test/counterparts-nightly/vitest.config.ts'
const { status } = spawnSync(process.execPath, [vitest, 'run', '-c', config, ...more], { stdio: 'inherit' })
process.exitCode = status ?? 1

function install() {
  aptGet('update')
  for (const packages of PACKAGES) {
    if (aptGet('install', '--no-install-recommends', ...packages) !== 0)
      console.error(`Not installed, so the tests of this server are skipped: ${packages.join(' ')}`)
  }
}

/** @param {string[]} words */
function aptGet(...words) {
  const isRoot = process.getuid?.() === 0
  const apt = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qy', ...words]
  const [command = '', ...rest] = isRoot ? apt : ['sudo', '-n', ...apt]
  return spawnSync(command, rest, { stdio: 'inherit' }).status
}
