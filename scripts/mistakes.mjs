/**
 * Plays mistakes of setting up an API on Express, Koa and Fastify, each in its own process without a logger, and writes
 * what the process printed into docs/troubleshooting.md. Fails if the line with the cure is missing, if something else
 * is printed, or if a value of the client is in the output. From the built package, so `npm run build` comes first.
 *
 *   node scripts/mistakes.mjs           writes the table
 *   node scripts/mistakes.mjs --check   writes nothing; exits 1 if the page differs from what was printed
 */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const PAGE = fileURLToPath(new URL('../docs/troubleshooting.md', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../test/support/mistakes-process.mjs', import.meta.url))
const FRAMEWORKS = { express: 'Express', koa: 'Koa', fastify: 'Fastify' }
const MARKERS = ['<!-- mistakes: npm run mistakes -->', '<!-- /mistakes -->']

/**
 * `name` is the one of the program. `cure` is in exactly one printed line; `also` matches the other lines. `silent` names
 * a framework that prints nothing, and says what its clients see.
 */
const MISTAKES = [
  {
    name: 'final slash',
    title: '`issuer` ends with a slash, and tokens have none',
    statuses: [401],
    cure: 'including a trailing slash. Write `issuer` exactly as in the tokens',
    also: /^no metadata of the issuer .* Set `issuer` to exactly the `issuer` of the metadata/
  },
  { name: 'http issuer', title: '`http:` in `issuer`', statuses: undefined, cure: 'use https;' },
  {
    name: 'no audience',
    title: 'the token has no audience',
    statuses: [401],
    cure: 'The token has no `aud`. Let the client request a token for this `resource`'
  },
  {
    name: 'other audience',
    title: 'the token is for another API',
    statuses: [401],
    cure: 'list in `audience` the identifier that your authorization server uses. expected: ["https://api.example.com"]'
  },
  {
    name: 'ID token',
    title: 'the client sends an ID token',
    statuses: [401],
    cure: 'If the client sent an ID token, it must send the access token instead'
  },
  { name: 'expired', title: 'the token has expired', statuses: [401], cure: 'The client must get a new token' },
  {
    name: 'clock behind',
    title: 'the clock of the API is 5 minutes behind',
    statuses: [401],
    cure: 'compare this machine’s clock with the authorization server’s. expected: "iat up to '
  },
  {
    name: 'keys unreachable',
    title: 'the keys cannot be fetched',
    statuses: [503],
    cure: 'could not be reached. Look at the authorization server and the network between'
  },
  {
    name: 'client secret',
    title: 'the client secret for introspection is wrong',
    statuses: [500],
    cure: 'answered 401 to our request: check `introspection.auth` and `clientId`'
  },
  {
    name: 'misspelt scope',
    title: 'the route misspells a scope',
    statuses: [403],
    cure: 'If the route misspells a scope, correct it there; the option `scopes` finds that at the start. expected: ["order:read"]'
  },
  {
    name: 'after the body parser',
    title: '`protect` runs after the body parser',
    statuses: [401],
    cure: 'Mount `protect` before the body parser; on Fastify use it in `onRequest`.'
  },
  {
    name: 'no errorHandler',
    title: '`errorHandler` is not mounted',
    statuses: [401],
    cure: /Mount errorHandler\(\) last: app\.use\(errorHandler\(\)\)\.|Write app\.setErrorHandler\(errorHandler\)\./,
    // Express prints the error itself.
    also: /^(\[CredentialsMissing: An access token is required\] \{|}| {2}(status|code|reason|description|hint): .*)$/,
    silent: {
      koa: 'nothing, because other middleware may answer refusals; clients get the right status and challenge, with a text'
    }
  },
  {
    name: 'two middlewares',
    title: 'two `resourceServer(…)` check one DPoP proof; with one API, both middlewares pass',
    statuses: [401, 200],
    cure: 'let only the first check the proof'
  },
  {
    name: 'prefix cut',
    title: 'a proxy removes a prefix of the path (DPoP)',
    statuses: [401],
    cure: 'If a proxy ends TLS, or changes the host or the path, set `publicUrl` to the URL that clients call. expected: ["http://127.0.0.1:4010/orders"]'
  },
  {
    name: 'TLS ended',
    title: 'a proxy ends TLS, and `resource` is the inner URL (DPoP)',
    statuses: [401],
    cure: 'If a proxy ends TLS, or changes the host or the path, set `publicUrl` to the URL that clients call. expected: ["http://127.0.0.1:4010/orders"]'
  }
]

/** Printed by Node.js itself. */
const OF_NODE = /^\(Use `node --trace-warnings|^$/
/** A start that fails is printed with its stack. */
const OF_STACK = /^(file:|Node\.js v|\s|TypeError: resourceServer\(\) found a problem in its options:$)/

/** Removes what differs from run to run. */
function stable(text) {
  return text
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:4010')
    .replaceAll(/\b\d{10}\b/g, '1790000000')
    .replaceAll(/ requestId: "req-\d+"\./g, '')
}

/** @returns the output of the program, and its exit code or the signal that ended it */
async function play(framework, name) {
  const played = await playOnce(framework, name)
  if (played.code !== 'SIGTERM' || played.all !== '') return played
  // Node itself sometimes hangs before it runs the first line.
  console.error(`${framework}, ${name}: Node printed nothing in 30 s, and is started again`)
  return playOnce(framework, name)
}

function playOnce(framework, name) {
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, framework, name], { timeout: 30_000 }, (error, out, err) =>
      resolve({ out, lines: stable(err).split('\n'), code: error?.code ?? error?.signal ?? 0, all: out + err })
    )
  })
}

/** @throws {Error} the output is not as expected. @returns the line with the cure, or undefined */
function judge(framework, { name, cure, also, statuses, silent }, { out, lines, code, all }) {
  const fail = (problem) => {
    throw new Error(`${framework}, ${name}: ${problem}\n${all}`)
  }
  if (all.includes('SECRET') || all.includes(Buffer.from('SECRET').toString('base64url')) || /eyJ[\w-]+\.eyJ/.test(all))
    fail('a value of the client is in the output')
  if (statuses === undefined) {
    if (code !== 1) fail('it started')
  } else if (out === '') fail(`it printed no answers, and ended with ${code}`)
  else if (JSON.stringify(JSON.parse(out).statuses) !== JSON.stringify(statuses)) fail('another answer was sent')
  const cures = lines.filter((line) => (cure instanceof RegExp ? cure.test(line) : line.includes(cure)))
  const isSilent = silent?.[framework] !== undefined
  if (cures.length !== (isSilent ? 0 : 1)) fail(`${cures.length} lines name the cure`)
  const others = lines.filter((line) => !cures.includes(line) && !OF_NODE.test(line) && !also?.test(line))
  const unexpected = statuses === undefined ? others.filter((line) => !OF_STACK.test(line)) : others
  if (unexpected.length > 0) fail(`it also printed: ${unexpected.join('\n')}`)
  return cures[0]
}

/** A printed line as Markdown: its code, and the text with the cure. The reason leads to its section. */
function markdown(line) {
  const [, code, said = line] = /^\(node:\d+\) \[(\w+)\] Warning: oauth-resource-server: (.*)$/.exec(line) ?? []
  const text = said
    .replace(/^(\d+) (\w+) \([^)]*\): /, (_, status, reason) => `${status} [\`${reason}\`](#${reason}): `)
    .replace(/ See https:\S+$/, '')
    .replace(/ \(https:\/\/api\.example\.com\)$/, '')
    .replace(/^- /, '')
  return `${code === undefined ? 'at the start' : `\`${code}\``}: ${text.replaceAll('|', '\\|')}`
}

async function rowOf(mistake) {
  const said = new Map()
  const frameworks = Object.entries(FRAMEWORKS)
  const played = await Promise.all(frameworks.map(([framework]) => play(framework, mistake.name)))
  for (const [i, [framework, title]] of frameworks.entries()) {
    const line = judge(framework, mistake, played[i])
    const text = line === undefined ? mistake.silent[framework] : markdown(line)
    said.set(text, [...(said.get(text) ?? []), title])
  }
  const printed = [...said].map(([text, titles]) => (said.size === 1 ? text : `${titles.join(', ')}: ${text}`))
  return `| ${mistake.title} | ${mistake.statuses?.[0] ?? 'no start'} | ${printed.join('<br>')} |`
}

const rows = []
for (const mistake of MISTAKES) rows.push(await rowOf(mistake))
const table = ['| Mistake | Answer | Printed |', '|---|---|---|', ...rows].join('\n')

const before = readFileSync(PAGE, 'utf8')
const [start, end] = MARKERS.map((marker) => before.indexOf(marker))
if (start < 0 || end < start) throw new Error(`docs/troubleshooting.md lacks ${MARKERS.join(' … ')}`)
const after = `${before.slice(0, start + MARKERS[0].length)}\n\n${table}\n\n${before.slice(end)}`
if (!process.argv.includes('--check')) writeFileSync(PAGE, after)
else if (after !== before) {
  console.error('docs/troubleshooting.md differs from what was printed: npm run mistakes')
  process.exitCode = 1
}
console.log(`${MISTAKES.length} mistakes on ${Object.values(FRAMEWORKS).join(', ')}: each line names the cure.`)
