// @ts-check
/**
 * Looks for false alarms of the conformance suite: runs it, with its authorization server, against APIs that other people's libraries
 * and proxies protect (test/false-alarms/servers.mjs), and against this package as the control.
 *
 *   node scripts/false-alarms.mjs [--install] [--server NAME]... [--profile NAME]... [--findings FOLDER]
 *
 *   --install          installs the servers first (apt-get needs root, or sudo); without it those that are missing are skipped
 *   --findings FOLDER  writes the report of each server there, to read each finding by hand. Never in CI, whose artifacts and logs are
 *                      public: what the suite finds of others is not published
 *   --patient          gives servers of others the default times to recover, in place of short ones: hours
 *
 * Exit code 1: a check fails on this package, on every other server, or could not be run (test/false-alarms/judge.mjs), or a server
 * did not start.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { jsonReport, runConformance, startSuiteIssuer } from 'oauth-resource-server/conformance'
import { judge } from '../test/false-alarms/judge.mjs'
import { SERVERS } from '../test/false-alarms/servers.mjs'
import { freePort } from '../test/support/ports.mjs'

/** Packages of Debian, one server at a time: one that is missing must not keep the others away. */
const PACKAGES = [
  ['apache2', 'libapache2-mod-oauth2'],
  ['apache2', 'libapache2-mod-auth-openidc'],
  ['python3-authlib', 'python3-flask'],
  ['golang-go', 'golang-github-coreos-go-oidc-dev'],
  ['nginx'],
  ['openssl']
]
/** Seconds that a server of others may take to recover and to see a removed key: most never see one, and each check waits twice. */
const SHORT = { recoverySeconds: 70, revocationSeconds: 5 }
/** Milliseconds until a server that one request ended has started again. */
const RESTART = 15_000

const { values } = parseArgs({
  options: {
    install: { type: 'boolean' },
    server: { type: 'string', multiple: true },
    profile: { type: 'string', multiple: true },
    findings: { type: 'string' },
    patient: { type: 'boolean' }
  }
})
if (values.findings !== undefined && process.env['CI'] !== undefined)
  throw new Error('--findings is for your own machine: the logs and artifacts of CI are public.')
if (values.install) install()
process.exitCode = await main()
// Connections that a server keeps open do not keep this process.
process.exit()

async function main() {
  const chosen = SERVERS.filter(({ name }) => values.server?.includes(name) ?? true)
  const unknown = values.server?.find((name) => !SERVERS.some((one) => one.name === name))
  if (unknown !== undefined || chosen.length === 0)
    throw new Error(`--server is ${unknown}: it must be one of ${SERVERS.map(({ name }) => name).join(', ')}.`)
  /** @type {import('../test/false-alarms/judge.mjs').Report[]} */
  const reports = []
  const failures = []
  const tls = certificate()
  for (const server of chosen) {
    const missing = server.missing()
    if (missing !== undefined) {
      console.log(`${server.name}: skipped, install ${missing}`)
      continue
    }
    try {
      const report = await reportOf(server, tls)
      reports.push({ name: server.name, isOurs: server.isOurs, results: report.results })
      console.log(`${server.name}: ${report.results.length} checks, ${report.requests} requests, ${report.seconds} s`)
      keep(server.name, report)
    } catch (error) {
      failures.push(`${server.name}: ${/** @type {Error} */ (error).message}`)
    }
  }
  const { problems, notes } = judge(reports, readList())
  for (const note of notes) console.log(`note: ${note}`)
  for (const problem of [...failures, ...problems]) console.error(`problem: ${problem}`)
  const others = reports.filter(({ isOurs }) => !isOurs).length
  console.log(
    `${others} servers of others, ${reports.length - others} of ours, ${failures.length + problems.length} problems.`
  )
  return failures.length + problems.length === 0 ? 0 : 1
}

/**
 * @param {import('../test/false-alarms/servers.mjs').Server} server
 * @param {{ cert: string, key: string } | undefined} tls
 */
async function reportOf(server, tls) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}${server.path ?? '/orders'}`
  if (server.needsTls && tls === undefined) throw new Error('openssl is missing: the issuer needs a certificate')
  const issuer = await startSuiteIssuer({ port: 0, audience: url, ...(server.needsTls && tls && { tls }) })
  /** @type {{ close: () => Promise<void> } | undefined} */
  let running
  try {
    running = await server.start({ issuer: issuer.url, audience: url, port })
    const profiles = /** @type {import('oauth-resource-server/conformance').Profile[] | undefined} */ (values.profile)
    const options = { issuer, methods: true, profiles, declared: values.patient || server.isOurs ? {} : SHORT }
    const report = await runConformance(url, options)
    return { ...report, results: await again(report.results, url, options) }
  } finally {
    await running?.close()
    await issuer.close()
  }
}

/**
 * Runs checks again that could not be run, because the request of another one had ended the server.
 *
 * @param {readonly import('oauth-resource-server/conformance').Result[]} results
 * @param {string} url
 * @param {import('oauth-resource-server/conformance').ConformanceOptions} options
 */
async function again(results, url, options) {
  const made = []
  for (const one of results) {
    if (one.verdict !== 'error' || one.id.startsWith('good-token-after-')) made.push(one)
    else {
      await answers(url)
      const { profiles: _all, ...rest } = options
      const report = await runConformance(url, { ...rest, only: [one.id] })
      made.push(report.results.find(({ id }) => id === one.id) ?? one)
    }
  }
  return made
}

/** Resolves when the server answers, at the latest after a while. @param {string} url */
async function answers(url) {
  const until = Date.now() + RESTART
  while (Date.now() < until && !(await fetch(url).catch(() => undefined))) await sleep(100)
}

/** @param {string} name @param {import('oauth-resource-server/conformance').Report} report */
function keep(name, report) {
  if (values.findings === undefined) return
  const folder = resolve(values.findings)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.json`), jsonReport(report))
}

/** @returns {Record<string, string>} */
function readList() {
  return JSON.parse(readFileSync(new URL('../test/false-alarms/read.json', import.meta.url), 'utf8'))
}

/** A certificate of this run, for servers that demand https of their issuer. */
function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'false-alarms-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const { status } = spawnSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, ...name])
  const made = status === 0 ? { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') } : undefined
  rmSync(folder, { recursive: true })
  return made
}

function install() {
  aptGet('update')
  for (const packages of PACKAGES)
    if (aptGet('install', '--no-install-recommends', ...packages) !== 0)
      console.error(`Not installed, so this server is skipped: ${packages.join(' ')}`)
  const npm = ['install', '--ignore-scripts', '--prefix', '.ci/counterparts', '--no-audit', '--no-fund']
  spawnSync('npm', npm, { stdio: 'inherit' })
}

/** @param {string[]} words */
function aptGet(...words) {
  const isRoot = process.getuid?.() === 0
  const apt = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qy', ...words]
  const [command = '', ...rest] = isRoot ? apt : ['sudo', '-n', ...apt]
  return spawnSync(command, rest, { stdio: 'inherit' }).status
}
