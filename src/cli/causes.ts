/**
 * Finds why a server was not reached, from the causes of an error. They are nested: `fetch` wraps the socket's error,
 * and Node collects one error per address in an `AggregateError`.
 *
 * Tests: `test/cli/explain.test.ts`.
 */

/** Maximum errors that are searched for causes, and maximum errors of one AggregateError. */
const MAX_ERRORS = 32

/** An error, its causes, and the members of AggregateErrors, outermost first. */
function errorsOf(error: unknown): readonly Error[] {
  const found = new Set<unknown>([error])
  for (const one of found) {
    if (found.size >= MAX_ERRORS) break
    if (one instanceof Error) found.add(one.cause)
    if (one instanceof AggregateError) for (const each of one.errors.slice(0, MAX_ERRORS)) found.add(each)
  }
  return [...found].filter((one) => one instanceof Error)
}

function codeOf(error: Error): string {
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' ? code : ''
}

/** The innermost cause as text, such as `connect ECONNREFUSED 127.0.0.1:9`; undefined if there is none. */
export function causeOf(error: unknown): string | undefined {
  const inner = errorsOf(error).toReversed()
  const known = inner.find((one) => codeOf(one) !== '') ?? inner[0]
  return known && (known.message || codeOf(known))
}

/** Advice for a rejected certificate, by the error code of OpenSSL or Node. */
const CERTIFICATES: readonly (readonly [code: RegExp, cure: string])[] = [
  [
    /^(?:UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT)$/,
    'give Node the private CA: NODE_EXTRA_CA_CERTS=ca.pem, or a dispatcher with `connect: { ca }`; here: --ca ca.pem. If the CA is public, the server does not send its intermediate certificates: correct that there.'
  ],
  [/^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/, 'it is not valid at this time. Renew it, or set the clock of this machine.'],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'it is for another name. Write the URL with a name in the certificate, or get a certificate for this name.'
  ],
  [
    /^(?:CERT_|UNABLE_TO_|INVALID_CA|PATH_LENGTH_EXCEEDED|ERR_TLS_CERT_)/,
    'look at the certificates that the server sends.'
  ]
]

/** Advice if TLS failed because of the server's certificate; undefined otherwise. */
export function certificateRemedy(error: unknown): string | undefined {
  for (const code of errorsOf(error).map(codeOf)) {
    const cure = CERTIFICATES.find(([pattern]) => pattern.test(code))?.[1]
    if (cure !== undefined) return `The certificate of the server was not accepted (${code}): ${cure}`
  }
  return undefined
}
