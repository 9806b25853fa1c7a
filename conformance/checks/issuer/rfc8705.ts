/**
 * Checks of tokens bound to a client certificate (RFC 8705 §3): on the TLS connection, or in the field in which a proxy passes it
 * on (RFC 9440).
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import type { Check, CheckContext, ClientCertificate, WireRequest } from '../../check.js'
import { encoded, withCertificate } from '../../engine/presentation.js'
import * as source from '../sources.js'
import { type Fields, requireAcceptance, requireRefusal } from './judge.js'

const change = 'Compare the SHA-256 of the client certificate with `cnf.x5t#S256`, and refuse without a certificate.'

/** A request with a token and with a certificate, in the field or on the connection. */
function presenting(
  { declared }: CheckContext,
  token: string,
  certificate: ClientCertificate | undefined,
  more: Fields = []
): WireRequest {
  const request = withCertificate({ fields: [['Authorization', `Bearer ${token}`]] }, certificate, declared)
  return { ...request, fields: [...(request.fields ?? []), ...more] }
}

interface CertificateCheck {
  readonly id: string
  readonly title: string
  readonly isGood?: true
  readonly isHardening?: true
  readonly request: (context: CheckContext, certificate: ClientCertificate, token: string) => WireRequest
}

function certificateCheck({ id, title, isGood, isHardening, request }: CertificateCheck): Check {
  return {
    id: `rfc8705-${id}`,
    title,
    profile: 'mtls',
    level: isHardening ? 'hardening' : 'MUST',
    ...(!isHardening && { source: source.CERTIFICATE }),
    needs: ['issuer', 'mtls'],
    run: async (context) => {
      const { issuer } = context
      const certificate = issuer.certificate()
      const token = issuer.token({ claims: { cnf: { 'x5t#S256': issuer.thumbprintOf(certificate) } } })
      const sent = request(context, certificate, token)
      if (isGood) await requireAcceptance(context, sent, 'The API accepts the request.', change)
      else await requireRefusal(context, sent, 'The API refuses the request with 401.', change)
    }
  }
}

/** A check of the field in which a proxy passes the certificate (RFC 9440). */
function fieldCheck(
  id: string,
  title: string,
  request: (context: CheckContext, certificate: ClientCertificate, token: string, field: string) => WireRequest
): Check {
  const check = certificateCheck({
    id,
    title,
    isHardening: true,
    request: (context, certificate, token) => {
      const field = context.declared.certificateField ?? context.skip('the certificate comes on the TLS connection')
      return request(context, certificate, token, field)
    }
  })
  return { ...check, id: `rfc9440-${id}` }
}

/** RFC 8705 and RFC 9440. */
export const rfc8705: readonly Check[] = [
  certificateCheck({
    id: 'own',
    title: 'A token with the certificate that it is bound to is accepted.',
    isGood: true,
    request: (context, certificate, token) => presenting(context, token, certificate)
  }),
  certificateCheck({
    id: 'other',
    title: 'A token with another certificate is refused.',
    request: (context, _, token) => presenting(context, token, context.issuer.certificate())
  }),
  certificateCheck({
    id: 'missing',
    title: 'A bound token without a certificate is refused.',
    request: (context, _, token) => presenting(context, token, undefined)
  }),
  certificateCheck({
    id: 'thumbprint-prefix',
    title: 'A thumbprint of which the first half is right is refused.',
    request: (context, certificate) => {
      const { issuer } = context
      const half = issuer.thumbprintOf(certificate).slice(0, 21)
      const token = issuer.token({ claims: { cnf: { 'x5t#S256': half + 'A'.repeat(22) } } })
      return presenting(context, token, certificate)
    }
  }),
  certificateCheck({
    id: 'thumbprint-number',
    title: 'A thumbprint that is not text is refused.',
    isHardening: true,
    request: (context, certificate) =>
      presenting(context, context.issuer.token({ claims: { cnf: { 'x5t#S256': 5 } } }), certificate)
  }),
  certificateCheck({
    id: 'unknown-confirmation',
    title: 'A token that is bound in a way the API does not know is refused.',
    isHardening: true,
    request: (context, certificate) =>
      presenting(context, context.issuer.token({ claims: { cnf: { 'urn:example:unknown': 'x' } } }), certificate)
  }),
  certificateCheck({
    id: 'two-bindings',
    title: 'A token that is bound to a DPoP key too is refused without a proof.',
    isHardening: true,
    request: (context, certificate) => {
      const { issuer } = context
      const cnf = { 'x5t#S256': issuer.thumbprintOf(certificate), jkt: issuer.dpopKey().jkt }
      return presenting(context, issuer.token({ claims: { cnf } }), certificate)
    }
  }),
  fieldCheck('malformed', 'A malformed certificate field is refused.', (context, _, token, field) =>
    presenting(context, token, undefined, [[field, ':AAAA:']])
  ),
  fieldCheck(
    'twice',
    'A certificate field with two lines is refused, whichever line is right.',
    (context, certificate, token, field) =>
      presenting(context, token, certificate, [[field, encoded(context.issuer.certificate())]])
  )
]
