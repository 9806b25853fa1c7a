/**
 * Checks that no text demands: refusals that give nothing away, other ways to the same route, and credentials that break
 * readers.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import { fieldOf, valuesOf } from '../../challenge.js'
import type { Check, CheckContext, WireRequest, WireResponse } from '../../check.js'
import { authorized, part, refusalOfUnknown, refuses, told, UNKNOWN } from './judge.js'

type Hardening = Omit<Check, 'profile' | 'level'>

const answers: readonly Hardening[] = [
  {
    id: 'hardening-no-store',
    title: 'A refusal may not be stored by caches.',
    async run({ probe, fail }) {
      const control = fieldOf(probe, 'cache-control') ?? ''
      if (/\bno-store\b|\bprivate\b|\bno-cache\b/i.test(control)) return
      fail({
        expected: 'Cache-Control: no-store in the answer without a token.',
        received: control === '' ? 'No Cache-Control.' : `Cache-Control: ${control}.`,
        change: 'Add Cache-Control: no-store to refusals.'
      })
    }
  },
  {
    id: 'hardening-no-token-echo',
    title: 'No part of a token is in the refusal.',
    async run(context) {
      const marker = 'conformanceEcho7f3a91'
      const token = `${part({ alg: 'RS256', kid: marker })}.${part({ iss: `https://${marker}.invalid` })}.${marker}`
      for (const one of [marker, token, `${marker} ${marker}`]) {
        const response = await context.send({ token: one })
        const shown = [...response.fields.map(([, value]) => value), response.body].some((text) =>
          text.includes(marker)
        )
        if (shown)
          context.fail({
            expected: 'The answer repeats nothing of the token.',
            received: `A part of the token is in the answer with ${told(response)}.`,
            change: 'Send fixed texts: answers are logged, cached and shown.'
          })
      }
    }
  },
  {
    id: 'hardening-no-query-echo',
    title: 'The query is not repeated as it came in the refusal.',
    async run({ send, url, fail }) {
      const marker = 'conformanceEcho5b82"x'
      const target = `${url.pathname}${url.search === '' ? '?' : `${url.search}&`}q=${encodeURIComponent(marker)}`
      const response = await send({ target })
      const isHtml = /html/i.test(fieldOf(response, 'content-type') ?? '')
      const shown = valuesOf(response, 'www-authenticate').some((one) => one.includes('conformanceEcho5b82'))
      if (!shown && !(isHtml && response.body.includes(marker))) return
      fail({
        expected: 'The challenge and the page repeat nothing of the query.',
        received: 'The query is in the answer.',
        change: 'Send fixed texts, and escape what a page repeats.'
      })
    }
  },
  {
    id: 'hardening-no-stack',
    title: 'No answer shows a stack or a path of the server.',
    async run(context) {
      for (const response of await oddAnswers(context))
        if (STACK.test(response.body))
          context.fail({
            expected: 'Bodies without a stack.',
            received: `A stack in the body of an answer with status ${response.status}.`,
            change: 'Turn the debugging page off, and answer errors with a fixed body.'
          })
    }
  },
  {
    id: 'hardening-no-version',
    title: 'No answer shows the version of the server.',
    async run(context) {
      const { probe, fail } = context
      const shown = ['server', 'x-powered-by', 'x-aspnet-version', 'x-aspnetmvc-version', 'via']
        .flatMap((name) => valuesOf(probe, name).map((value) => `${name}: ${value}`))
        .find((line) => /^x-|\/\d+\.\d+|\b\d+\.\d+\.\d+/.test(line) && !/^via: \d\.\d \S+$/.test(line))
      if (shown !== undefined)
        fail({
          expected: 'No field names a version or a framework.',
          received: `${shown.slice(0, 120)}.`,
          change: 'Turn the field off (Express: app.disable("x-powered-by"); nginx: server_tokens off).'
        })
      for (const { status, body } of await oddAnswers(context)) {
        const [named] = PRODUCT.exec(body) ?? []
        if (named !== undefined)
          fail({
            expected: 'No body names a version of a product.',
            received: `${named} in the body of an answer with status ${status}.`,
            change: 'Replace the pages that the server makes for errors by your own.'
          })
      }
    }
  },
  {
    id: 'hardening-no-cookie',
    title: 'A refusal sets no cookie.',
    async run({ probe, fail }) {
      const [cookie] = valuesOf(probe, 'set-cookie')
      if (cookie === undefined) return
      fail({
        expected: 'No Set-Cookie in the answer without a token.',
        received: `Set-Cookie: ${cookie.split('=')[0]}=….`,
        change: 'Turn sessions off for the API: a request without a token should cost no memory.'
      })
    }
  },
  {
    id: 'hardening-cors-credentials',
    title: 'An unknown origin may not send credentials.',
    async run({ send, fail }) {
      const response = await send({ fields: [['Origin', 'https://conformance.invalid']] })
      const isEchoed = fieldOf(response, 'access-control-allow-origin') === 'https://conformance.invalid'
      if (!isEchoed) return
      if (/^true$/i.test(fieldOf(response, 'access-control-allow-credentials') ?? ''))
        fail({
          expected: 'An unknown origin is not allowed to send credentials.',
          received: 'Its origin is repeated, with Access-Control-Allow-Credentials: true.',
          change: 'List the origins that may send credentials.'
        })
      if (!/\borigin\b|\*/i.test(fieldOf(response, 'vary') ?? ''))
        fail({
          expected: 'Vary: Origin where the answer repeats the origin.',
          received: `Vary: ${fieldOf(response, 'vary') ?? 'missing'}.`,
          change: 'Add Vary: Origin: a cache would give the answer of one origin to another.'
        })
    }
  },
  {
    id: 'hardening-hsts',
    title: 'The API tells browsers to use https only.',
    needs: ['https'],
    async run({ probe, fail }) {
      const value = fieldOf(probe, 'strict-transport-security')
      if (value !== undefined && /max-age="?[1-9]/i.test(value)) return
      fail({
        expected: 'Strict-Transport-Security with a max-age.',
        received: value === undefined ? 'No such field.' : `Strict-Transport-Security: ${value.slice(0, 80)}.`,
        change: 'Add Strict-Transport-Security: max-age=31536000.'
      })
    }
  }
]

/** Products that write their version into pages of errors. */
const PRODUCT =
  /\b(?:nginx|openresty|tengine|apache(?: tomcat)?|tomcat|jetty:?|undertow|wildfly|glassfish|weblogic|microsoft-iis|iis|kestrel|werkzeug|gunicorn|uvicorn|python|php|ruby|puma|passenger|envoy|traefik|caddy|lighttpd|express|node\.js|openssl)[ /:(]+v?\d+(?:\.\d+)+/i

const STACK =
  /\bat [^\s(]+ \([^)\n]+:\d+:\d+\)|Traceback \(most recent call last\)|\bat (?:java|javax|org|com|sun)\.[\w.$]+\(|goroutine \d+ \[|\bin \/[\w./-]+\.php:\d+|at [\w.<>`]+\([^)]*\) in [A-Z/][^\n]*:line \d+|node_modules\//

async function oddAnswers(context: CheckContext): Promise<readonly WireResponse[]> {
  return [
    context.probe,
    await refusalOfUnknown(context),
    await context.send({ token: 'e30.e30.e30' }),
    await context.send({ target: `${context.url.pathname}?%` })
  ]
}

const breaking: readonly Hardening[] = (
  [
    ['long-token', 'A token of 7,000 characters', `${'A'.repeat(7000)}`],
    [
      'deep-jwt',
      'A JWT whose header is deeply nested',
      `${Buffer.from(`${'['.repeat(1500)}`).toString('base64url')}.e30.AAAA`
    ],
    ['header-null', 'A JWT whose header is null', `${part(null)}.${part({})}.AAAA`],
    ['header-list', 'A JWT whose header is a list', `${part([])}.${part([])}.AAAA`],
    [
      'header-prototype',
      'A JWT whose header names __proto__',
      `${Buffer.from('{"alg":"__proto__","kid":"__proto__","__proto__":{"alg":"none"}}').toString('base64url')}.${part({ iss: '__proto__' })}.AAAA`
    ],
    [
      'header-numbers',
      'A JWT whose members are numbers',
      `${part({ alg: 1, kid: 2, typ: 3 })}.${part({ iss: 4, exp: 'x' })}.AAAA`
    ],
    [
      'claims-invalid-utf8',
      'A JWT that is not UTF-8',
      `${part({ alg: 'RS256' })}.${Buffer.from([0x7b, 0xff, 0xfe, 0x7d]).toString('base64url')}.AAAA`
    ],
    ['not-base64url', 'A JWT that is not base64url', 'a+b/c==.%%%.***'],
    ['encrypted-jwt', 'An encrypted JWT of rubbish', `${part({ alg: 'RSA-OAEP-256', enc: 'A256GCM' })}.AA.AA.AA.AA`],
    ['latin-1', 'Octets outside ASCII', '\u00e9\u00ff\u00a0']
  ] as const
).map(([id, what, token]) => ({
  id: `hardening-${id}`,
  title: `${what} is refused, and breaks nothing.`,
  async run(context: CheckContext) {
    refuses(context, await context.send({ token }), what)
  }
}))

/** Fields that are not a scheme and a token. */
const strange: readonly Hardening[] = (
  [
    ['tab', 'A tab in place of the space', (scheme: string) => `${scheme}\tabc`],
    ['scheme-only', 'An unknown scheme alone', () => 'Conformance']
  ] as const
).map(([id, what, value]) => ({
  id: `hardening-${id}`,
  title: `${what} is refused, and breaks nothing.`,
  async run(context: CheckContext) {
    refuses(context, await context.send(authorized(value(context.scheme))), what)
  }
}))

const twice: readonly Hardening[] = [
  {
    id: 'hardening-two-authorization-lines',
    title: 'A request with two Authorization lines is refused.',
    async run(context) {
      refuses(
        context,
        await context.send({ token: UNKNOWN, ...authorized(`${context.scheme} ${UNKNOWN}x`) }),
        'A second Authorization line'
      )
    }
  },
  {
    id: 'hardening-other-methods',
    title: 'POST, PROPFIND and a method that does not exist let no request through without a token.',
    needs: ['methods'],
    async run(context) {
      for (const method of ['POST', 'PROPFIND', 'CONFORMANCE']) await hidesRoute(context, { method })
    }
  },
  {
    id: 'hardening-options',
    title: 'OPTIONS without a token shows nothing of the resource.',
    async run({ send, fail }) {
      const response = await send({
        method: 'OPTIONS',
        fields: [
          ['Origin', 'https://conformance.invalid'],
          ['Access-Control-Request-Method', 'GET'],
          ['Access-Control-Request-Headers', 'authorization']
        ]
      })
      const isJson = /json/i.test(fieldOf(response, 'content-type') ?? '')
      if (response.status < 500 && !(response.status === 200 && isJson && response.body.length > 2)) return
      fail({
        expected: 'A preflight answer without a body, or a refusal.',
        received: `Status ${response.status}, ${response.body.length} characters.`,
        change: 'Answer OPTIONS from the CORS layer, and do not run the route.'
      })
    }
  },
  {
    id: 'hardening-trace',
    title: 'TRACE does not repeat credentials.',
    needs: ['methods'],
    async run({ send, fail }) {
      const response = await send({ method: 'TRACE', token: UNKNOWN })
      if (!response.body.includes(UNKNOWN)) return
      fail({
        expected: 'TRACE is refused, or answered without Authorization.',
        received: `The token is in the body of an answer with status ${response.status}.`,
        change: 'Turn TRACE off (Apache httpd: TraceEnable off).'
      })
    }
  }
]

/** Other ways to write the path of the route, which a router may take for it and a guard may not. */
function tricksOf({ pathname, search }: URL): readonly (readonly [id: string, what: string, target: string])[] {
  const last = pathname.lastIndexOf('/')
  const [before, name] = [pathname.slice(0, last), pathname.slice(last + 1)]
  const escaped = name === '' ? '' : `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`
  return [
    ['double-slash', 'two slashes', `/${pathname}${search}`],
    ['dot', 'a segment of one dot', `${before}/./${name}${search}`],
    ['encoded-dot', 'an encoded dot segment', `${before}/%2e/${name}${search}`],
    ['dot-dot', 'a segment that goes back', `${before}/conformance/../${name}${search}`],
    ['encoded-dot-dot', 'an encoded segment that goes back', `${before}/conformance/%2e%2e/${name}${search}`],
    ['path-parameter', 'a path parameter', `${before}/${name};conformance=1${search}`],
    ['upper-case', 'capitals', `${pathname.toUpperCase()}${search}`],
    ['final-slash', 'a final slash', `${pathname.replace(/\/$/, '')}${pathname.endsWith('/') ? '' : '/'}${search}`],
    ['encoded-letter', 'an encoded letter', `${before}/${escaped}${search}`],
    ['encoded-slash', 'an encoded slash', `${before}/%2f${name}${search}`],
    ['extension', 'an extension', `${pathname.replace(/\/$/, '')}.json${search}`],
    ['encoded-end', 'an encoded control character', `${pathname}%00${search}`],
    [
      'inner-double-slash',
      'two slashes before its last segment',
      `${before}${before === '' ? '' : '/'}/${name}${search}`
    ],
    [
      'one-capital',
      'a last segment that begins with a capital',
      `${before}/${name.charAt(0).toUpperCase()}${name.slice(1)}${search}`
    ],
    ['dot-dot-parameter', 'a parameter that goes back', `${before}/conformance/..;/${name}${search}`],
    ['first-parameter', 'a parameter in front of its last segment', `${before}/;conformance=1/${name}${search}`],
    ['twice-encoded', 'a letter that is encoded twice', `${before}/${escaped.replace('%', '%25')}${search}`],
    ['encoded-space', 'an encoded space at its end', `${pathname}%20${search}`],
    ['backslash', 'a backslash', `${before}/%5c${name}${search}`]
  ]
}

const paths: readonly Hardening[] = tricksOf(new URL('http://localhost/route')).map(([id, what], index) => ({
  id: `hardening-path-${id}`,
  title: `The route written with ${what} lets no request through without a token.`,
  async run(context: CheckContext) {
    const [, , target = ''] = tricksOf(context.url)[index] ?? []
    if (target === `${context.url.pathname}${context.url.search}`) context.skip('the path has no such form')
    await hidesRoute(context, { target })
  }
}))

/** Fails if the request is answered with success, where a path that does not exist is not. */
async function hidesRoute(context: CheckContext, request: WireRequest): Promise<void> {
  if (context.probe.status < 300) context.skip('the route needs no token')
  const response = await context.send(request)
  if (response.status < 200 || response.status >= 300) return
  const { pathname } = context.url
  const missing = await context.send({
    target: `${pathname.slice(0, pathname.lastIndexOf('/'))}/conformance-no-such-route`
  })
  if (missing.status >= 200 && missing.status < 300) context.skip('the API answers 2xx to paths that do not exist')
  context.fail({
    expected: 'A refusal, or 404.',
    received: `Status ${response.status} with ${response.body.length} characters.`,
    change: 'Normalize the path before the guard and the router see it, or guard everything and open what is public.'
  })
}

const detours: readonly Hardening[] = [
  {
    id: 'hardening-absolute-form',
    title: 'The absolute form of the target lets no request through without a token.',
    run: (context) => hidesRoute(context, { target: context.url.href })
  },
  {
    id: 'hardening-rewrite-fields',
    title: 'Fields that proxies interpret let no request through without a token.',
    run: (context) =>
      hidesRoute(context, {
        fields: [
          ['X-Original-URL', '/'],
          ['X-Rewrite-URL', '/'],
          ['X-HTTP-Method-Override', 'OPTIONS'],
          ['X-Forwarded-For', '127.0.0.1'],
          ['X-Forwarded-Host', 'localhost'],
          ['X-Real-IP', '127.0.0.1']
        ]
      })
  },
  {
    id: 'hardening-forwarded-host',
    title: 'The challenge repeats no host that the client claims.',
    async run({ send, fail }) {
      const response = await send({
        fields: [
          ['X-Forwarded-Host', 'conformance.invalid'],
          ['X-Forwarded-Proto', 'https'],
          ['X-Original-Host', 'conformance.invalid'],
          ['Forwarded', 'host=conformance.invalid;proto=https']
        ]
      })
      const shown = response.fields.find(([, value]) => value.includes('conformance.invalid'))
      if (shown === undefined) return
      fail({
        expected: 'The fields of the answer name the public host of the API.',
        received: `${shown[0]}: ${shown[1].slice(0, 160)}.`,
        change:
          'Configure the public URL of the API, or take X-Forwarded-Host from known proxies alone: a cache may keep the answer for others.'
      })
    }
  },
  {
    id: 'hardening-identity-fields',
    title: 'Fields that a proxy sets for a known user let no request through without a token.',
    run: (context) =>
      hidesRoute(context, {
        fields: [
          ['X-Remote-User', 'conformance'],
          ['X-Forwarded-User', 'conformance'],
          ['X-User', 'conformance'],
          ['X-Access-Token', UNKNOWN],
          ['X-Auth-Token', UNKNOWN],
          ['Proxy-Authorization', `Bearer ${UNKNOWN}`]
        ]
      })
  }
]

export const hardeningChecks: readonly Check[] = [
  ...answers,
  ...breaking,
  ...strange,
  ...twice,
  ...paths,
  ...detours
].map((one) => ({
  ...one,
  profile: 'hardening',
  level: 'hardening'
}))
