/**
 * Runs checks against an API: asks once what it has, runs each check within the allowed rate, repeats one that measures
 * time, and shows with a good token after each profile that the API still works.
 *
 * Does NOT start an authorization server: pass one as `issuer`.
 *
 * Tests: `test/conformance/run.test.ts`.
 */
import {
  type Binding,
  type Check,
  type CheckContext,
  type Declared,
  Failed,
  LEVELS,
  type Level,
  type Need,
  NotApplicable,
  PROFILES,
  type Profile,
  type SuiteIssuer,
  type WireRequest,
  type WireResponse
} from './check.js'
import { CHECKS } from './checks/index.js'
import { type Bounded, boundProblem } from './engine/bounds.js'
import { curlOf, shortened } from './engine/curl.js'
import { needsOf, requireDeclared, requireNeeds } from './engine/declared.js'
import { adviceOf, findMetadata, probe, redirectOf } from './engine/detect.js'
import { findFeatures, findScheme } from './engine/features.js'
import { BudgetSpent, createPace } from './engine/pace.js'
import { untilAnswered } from './engine/patience.js'
import { isPrivateHost } from './engine/place.js'
import { boundIssuer, type Presentation, sendPresented } from './engine/presentation.js'
import { RunProblem, select, whyNot } from './engine/select.js'
import { createWire, NoAnswer } from './engine/wire.js'
import { countsOf, type Exchange, NOTICE, REPORT_VERSION, type Report, type Result } from './report/report.js'
import { TOOL_VERSION } from './report/version.js'

export { RunProblem } from './engine/select.js'

/** Requests a second to a host that is neither loopback nor private. */
const RATE = 2
/** Requests in all to such a host. */
const MAX_REQUESTS = 300
/** Methods that need no permission. */
const SAFE: readonly string[] = ['GET', 'HEAD', 'OPTIONS']
const NAME = 'oauth-resource-server conformance'
/** Answers that a report keeps of one check. */
const MAX_EXCHANGES = 12

/** Options of `runConformance()`. */
export interface ConformanceOptions {
  /** Default: all whose features the API has. */
  readonly profiles?: readonly Profile[] | undefined
  /** Ids of checks, or beginnings of ids that end with `*`. Default: all. */
  readonly only?: readonly string[] | undefined
  readonly skip?: readonly string[] | undefined
  /** Ends after the first failed check. Default false. */
  readonly bail?: boolean | undefined
  /** Allows methods other than GET, HEAD and OPTIONS. Default false. */
  readonly methods?: boolean | undefined
  /** Requests a second. Default 2; unlimited for a loopback or private host. */
  readonly rate?: number | undefined
  /** Requests in all. Default 300; unlimited for a loopback or private host. */
  readonly maxRequests?: number | undefined
  /** Declares that the host is yours. Needed where it is neither loopback nor private. */
  readonly mine?: boolean | undefined
  /** PEM of certificates to trust in addition to those of Node.js. */
  readonly ca?: string | undefined
  /** Milliseconds until a request without an answer fails. Default 10,000. */
  readonly timeout?: number | undefined
  /** Seconds to wait for the first answer of an API that starts after the suite. Default 0. */
  readonly wait?: number | undefined
  /** The authorization server of the suite, which the API trusts. */
  readonly issuer?: SuiteIssuer | undefined
  /** Features of the API that the suite cannot detect. */
  readonly has?: readonly Need[] | undefined
  /** Facts about the API that no request can find out: its routes, and how it learns of revocations. */
  readonly declared?: Declared | undefined
  /** Default: all of the suite. */
  readonly checks?: readonly Check[] | undefined
  /** Told before each check. */
  readonly onStart?: ((check: Check, index: number, total: number) => void) | undefined
  readonly onResult?: ((result: Result) => void) | undefined
  /** Told in seconds of each wait that a 429 asked for. */
  readonly onWait?: ((seconds: number) => void) | undefined
}

/**
 * Holds an API to the texts that concern a resource server.
 *
 * @param target the URL of a route that needs a token
 * @throws {RunProblem} a URL that cannot be used, a host that is not declared to be yours, an API that does not answer or does
 *   not trust `issuer`
 */
export async function runConformance(target: string | URL, options: ConformanceOptions = {}): Promise<Report> {
  const { url, checks } = readyRun(target, options)
  const started = new Date()
  const isPrivate = await isHostPrivate(url)
  if (!isPrivate && options.mine !== true)
    throw new RunProblem(
      `${url.hostname} is neither loopback nor private. Say that it is yours: --mine, or mine: true.`
    )
  const run = createRun(url, isPrivate, options)
  try {
    if (options.wait !== undefined) await run.wait(options.wait)
    const context = await run.begin().catch((error: unknown) => {
      throw beginProblem(error, url)
    })
    const profiles = PROFILES.filter((profile) => checks.some((check) => check.profile === profile))
    const results = await runAll(run, context, checks, profiles)
    return {
      version: REPORT_VERSION,
      tool: NAME,
      toolVersion: TOOL_VERSION,
      notice: NOTICE,
      url: url.href,
      started: started.toISOString(),
      seconds: Math.round((Date.now() - started.getTime()) / 100) / 10,
      mode: options.issuer === undefined ? 'outside' : 'issuer',
      ...(context.binding !== undefined && { binding: context.binding }),
      features: [...context.has],
      profiles,
      requests: run.requests(),
      counts: countsOf(results),
      results
    }
  } finally {
    run.close()
  }
}

/** All that can be said of a run before anything is sent or served. @throws {RunProblem} */
export function readyRun(
  target: string | URL,
  options: ConformanceOptions
): { readonly url: URL; readonly checks: readonly Check[] } {
  const url = urlOf(target)
  requireOptions(options)
  return { url, checks: select(options.checks ?? CHECKS, options) }
}

/** @throws {RunProblem} a number out of its bounds, or a fact that cannot be read */
function requireOptions({ rate, maxRequests, timeout, wait, has = [], declared = {} }: ConformanceOptions): void {
  const seconds = timeout === undefined ? undefined : timeout / 1000
  for (const [name, value] of Object.entries({ rate, maxRequests, timeout: seconds, wait })) {
    const problem = value === undefined ? undefined : boundProblem(name as Bounded, value)
    if (problem !== undefined)
      throw new RunProblem(`${name} ${problem}${name === 'timeout' ? ' seconds' : ''}, and is ${value}.`)
  }
  requireNeeds(has)
  requireDeclared(declared)
}

/** The requests before the first check are those of the run: an API that stops to answer them cannot be tested. */
function beginProblem(error: unknown, url: URL): unknown {
  if (error instanceof BudgetSpent) return new RunProblem(error.message, { cause: error })
  if (error instanceof NoAnswer) return new RunProblem(adviceOf(error, url), { cause: error })
  return error
}

function urlOf(target: string | URL): URL {
  if (!URL.canParse(String(target)))
    throw new RunProblem('The target is not a URL: write https://api.example.com/route.')
  const url = new URL(target)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new RunProblem(
      `The URL begins with ${url.protocol} and must begin with https:// (or http:// for this machine).`
    )
  if (url.username !== '' || url.password !== '')
    throw new RunProblem('The URL has a user name or password. Remove them: the suite sends its own credentials.')
  if (url.port === '0') throw new RunProblem('The URL has the port 0, on which no server listens. Write its port.')
  url.hash = ''
  return url
}

async function isHostPrivate(url: URL): Promise<boolean> {
  try {
    return await isPrivateHost(url)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown'
    throw new RunProblem(`${url.hostname} is not a known host (${code}). Check the URL.`, { cause })
  }
}

/** `open` sends a request as it is. */
type Context = Omit<CheckContext, 'send'> & {
  readonly presentation: Presentation
  readonly binding: Binding | undefined
}

interface Run {
  /** Waits for the first answer. These requests are not counted. */
  wait(seconds: number): Promise<void>
  begin(): Promise<Context>
  one(check: Check, context: Context): Promise<Result>
  requests(): number
  close(): void
  readonly options: ConformanceOptions
}

function createRun(url: URL, isPrivate: boolean, options: ConformanceOptions): Run {
  const free = isPrivate ? Number.POSITIVE_INFINITY : undefined
  const pace = createPace({
    rate: options.rate ?? free ?? RATE,
    maxRequests: options.maxRequests ?? free ?? MAX_REQUESTS,
    onWait: options.onWait
  })
  const wire = createWire(url, {
    userAgent: `${NAME} (+https://www.npmjs.com/package/oauth-resource-server)`,
    ca: options.ca,
    timeout: options.timeout
  })
  let login: string | undefined
  const send = async (request: WireRequest = {}): Promise<WireResponse> => {
    const method = request.method ?? 'GET'
    if (!SAFE.includes(method) && options.methods !== true)
      throw new Error(`a check sent ${method}, which is not allowed: it must name the need methods`)
    const response = await pace.run(() => wire.send(request), request.isOnce ? 0 : undefined)
    return login !== undefined && redirectOf(response) === login ? { ...response, isTurnedAway: true } : response
  }
  return {
    options,
    requests: () => pace.sent,
    close: () => wire.close(),
    wait: (seconds) =>
      untilAnswered(url, () => wire.send({}), { seconds, rate: options.rate, issuer: options.issuer?.url }),
    begin: async () => {
      const first = await probe(url, send, options.issuer !== undefined)
      login = redirectOf(first)
      return begin(url, isPrivate, options, { first, send, open: (request) => pace.run(() => wire.open(request), 0) })
    },
    one: async (check, context) => {
      const why = isLeftOut(check, url, options) ? NOT_MCP : whyNot(check, context.has)
      if (why !== undefined) return { ...toldOf(check), verdict: 'not applicable', why, exchanges: [] }
      return runTwice(check, context, send, url)
    }
  }
}

const NOT_MCP = 'not an MCP server, as far as the URL tells: --profile mcp'

/** MCP asks more than RFC 9728: of a server that is selected as such, or whose path says so. */
function isLeftOut({ profile }: Check, { pathname }: URL, { profiles, only }: ConformanceOptions): boolean {
  return profile === 'mcp' && profiles === undefined && only === undefined && !/\bmcp\b/i.test(pathname)
}

async function begin(
  url: URL,
  isPrivate: boolean,
  options: ConformanceOptions,
  { first, send, open }: Pick<CheckContext, 'send' | 'open'> & { readonly first: WireResponse }
): Promise<Context> {
  const metadata = await findMetadata(url, first, send)
  const { declared = {}, issuer } = options
  const has = new Set<Need>([...(options.has ?? []), ...needsOf(declared)])
  if (metadata !== undefined) has.add('metadata')
  if (url.protocol === 'https:') has.add('https')
  if (options.methods === true) has.add('methods')
  if (isFapi(options)) has.add('fapi2')
  requireMethod(declared, has)
  const survey = { url, declared, has, send }
  const { presentation, binding, needs } =
    issuer === undefined ? findScheme(survey, first) : await findFeatures(survey, issuer, first)
  for (const need of needs) has.add(need)
  if (presentation.scheme === 'Bearer') has.add('bearer')
  const bound = issuer && boundIssuer(issuer, presentation)
  return {
    url,
    declared,
    presentation,
    binding,
    scheme: presentation.scheme,
    has,
    probe: first,
    metadata,
    notes: new Set(),
    open,
    isPrivate,
    measured: () => {},
    get issuer(): SuiteIssuer {
      if (bound === undefined) throw new NotApplicable('needs the authorization server of the suite')
      return bound
    },
    fail: (finding) => {
      throw new Failed(finding)
    },
    skip: (why) => {
      throw new NotApplicable(why)
    }
  }
}

/** FAPI 2.0 asks more than the RFCs: of an API that is selected as one of this profile. */
function isFapi({ profiles, only }: ConformanceOptions): boolean {
  return profiles?.includes('fapi2') === true || only?.some((id) => id.startsWith('fapi2-')) === true
}

/** @throws {RunProblem} the declared request has a method that the user does not allow */
function requireMethod({ request }: Declared, has: ReadonlySet<Need>): void {
  if (request !== undefined && !SAFE.includes(request.method) && !has.has('methods'))
    throw new RunProblem(
      `declared.request has the method ${request.method}, and only ${SAFE.join(', ')} are allowed. Allow it: --methods, or methods: true.`
    )
}

async function runAll(
  run: Run,
  context: Context,
  checks: readonly Check[],
  profiles: readonly Profile[]
): Promise<Result[]> {
  const { options } = run
  const results: Result[] = []
  let index = 0
  for (const profile of profiles) {
    const block = checks.filter((check) => check.profile === profile)
    const kind = context.has.has('issuer') ? 'issuer' : 'introspection'
    const sentTokens = block.some((check) => check.needs?.includes(kind) && whyNot(check, context.has) === undefined)
    for (const check of [...block, ...(sentTokens ? [stillGood(profile, kind)] : [])]) {
      options.onStart?.(check, index++, checks.length)
      const result = await run.one(check, context)
      results.push(result)
      options.onResult?.(result)
      if (options.bail === true && result.verdict === 'failed') return results
    }
  }
  return results
}

/** After a profile that sent tokens: an API that refuses all of them passes every check of a refusal. */
function stillGood(profile: Profile, kind: 'issuer' | 'introspection'): Check {
  return {
    id: `good-token-after-${profile}`,
    title: `A good token is accepted after the checks of ${profile}.`,
    profile,
    level: 'hardening',
    needs: [kind],
    async run({ send, issuer, fail }) {
      const { status } = await send({ token: kind === 'issuer' ? issuer.token() : issuer.opaque() })
      if (status === 401 || status === 403 || status >= 500)
        fail({
          expected: 'The API accepts a good token as it did at the start.',
          received: `It answers ${status}.`,
          change:
            'Find the request above after which the API refuses good tokens: it must not keep a failure for others.'
        })
    }
  }
}

/** The request was HTTP, so its answer had to be: a connection that ends without one tells of a process that ended. */
function failureOf(error: unknown): unknown {
  if (!(error instanceof NoAnswer)) return error
  if (error.code === 'ECONNRESET') return CLOSED
  if (!error.code.startsWith('HPE_')) return error
  return new Failed({
    expected: 'The API answers the request by HTTP.',
    received: `${error.message} (${error.code}).`,
    change: 'Answer by HTTP/1.1 (RFC 9112). The answer to HEAD has no body.',
    level: 'SHOULD'
  })
}

const CLOSED = new Failed({
  expected: 'The API answers the request.',
  received: 'The API closed the connection without an answer.',
  change: 'Find in the log of the API what ended: no request of a client may end the process.',
  level: 'SHOULD'
})

type Send = (request?: WireRequest) => Promise<WireResponse>

async function runTwice(check: Check, context: Context, send: Send, url: URL): Promise<Result> {
  const first = await runOnce(check, context, send, url)
  if (first.verdict !== 'failed' || check.isTimed !== true) return first
  return { ...(await runOnce(check, context, send, url)), isRepeated: true }
}

async function runOnce(check: Check, context: Context, send: Send, url: URL): Promise<Result> {
  const exchanges: Exchange[] = []
  const measured: string[] = []
  const told = (): ReturnType<typeof toldOf> & Pick<Result, 'measured'> => ({
    ...toldOf(check),
    ...(measured.length > 0 && { measured })
  })
  const recorded = async <T extends Omit<WireResponse, 'body'>>(
    request: WireRequest,
    ask: (request: WireRequest) => Promise<T>
  ): Promise<T> => {
    const sent = curlOf(request, url)
    const keep = (one: Omit<Exchange, 'sent'>): void => {
      // The last one decided, so it is always kept.
      if (exchanges.length === MAX_EXCHANGES) exchanges.pop()
      exchanges.push({ sent, ...one })
    }
    try {
      const response = await ask(request)
      keep(answerOf(response))
      return response
    } catch (error) {
      keep({ problem: (error as Error).message })
      throw error
    }
  }
  const { presentation, open } = context
  const tools = {
    measured: {
      value: (seconds: number, what: string) => void measured.push(`${seconds.toFixed(1)} seconds ${what}`)
    },
    send: { value: (request: WireRequest = {}) => sendPresented(presentation, request, (one) => recorded(one, send)) },
    open: { value: (request: WireRequest) => sendPresented(presentation, request, (one) => recorded(one, open)) }
  }
  try {
    // Getters of the context stay getters: the issuer is asked for only by checks that need it.
    await check.run(Object.create(context, tools) as CheckContext)
    return { ...told(), verdict: 'passed', exchanges }
  } catch (error) {
    const failed = failureOf(error)
    if (failed instanceof Failed) {
      // A check that sent nothing judged the first answer.
      if (exchanges.length === 0) exchanges.push({ sent: curlOf({}, url), ...answerOf(context.probe) })
      const { level = check.level, ...finding } = failed.finding
      return { ...told(), level: laxer(level, check.level), verdict: 'failed', finding, exchanges }
    }
    if (error instanceof NotApplicable) return { ...told(), verdict: 'not applicable', why: error.message, exchanges }
    if (error instanceof BudgetSpent) return { ...told(), verdict: 'error', why: error.message, exchanges }
    return { ...told(), verdict: 'error', why: `${(error as Error).name}: ${(error as Error).message}`, exchanges }
  }
}

function laxer(one: Level, other: Level): Level {
  return LEVELS.indexOf(one) > LEVELS.indexOf(other) ? one : other
}

function toldOf({
  run: _run,
  needs: _needs,
  isTimed: _isTimed,
  ...told
}: Check): Omit<Check, 'run' | 'needs' | 'isTimed'> {
  return told
}

function answerOf(response: Omit<WireResponse, 'body'> & { readonly body?: string }): Omit<Exchange, 'sent'> {
  const { status, body = '' } = response
  return { status, fields: judgedFields(response), body: shortened(body.slice(0, 300)) }
}

const JUDGED =
  /^(?:www-authenticate|content-type|cache-control|vary|allow|location|retry-after|set-cookie|server|x-powered-by|dpop-nonce|access-control-.*|strict-transport-security)$/

function judgedFields({ fields }: Pick<WireResponse, 'fields'>): readonly string[] {
  return fields.filter(([name]) => JUDGED.test(name)).map(([name, value]) => `${name}: ${shortened(value)}`)
}
