/**
 * Presents access tokens as the API takes them: as Bearer tokens, with a DPoP proof (RFC 9449 §7.1), or with the client certificate
 * to which they are bound (RFC 8705 §3). So a check of a token is written once, and runs against APIs of each kind.
 *
 * Does NOT make flaws of proofs or certificates: the checks of RFC 9449 and RFC 8705 write their own fields.
 *
 * Tests: `test/conformance/bound.test.ts`.
 */
import { X509Certificate } from 'node:crypto'
import { createCertificate, thumbprint } from '../../test-kit/keys.js'
import { fieldOf } from '../challenge.js'
import type { Binding, ClientCertificate, Declared, SuiteIssuer, WireRequest, WireResponse } from '../check.js'
import { createProofKey } from '../issuer/proofs.js'

type Fields = NonNullable<WireRequest['fields']>
type Head = Pick<WireResponse, 'status' | 'fields'>

export interface Presentation {
  readonly scheme: 'Bearer' | 'DPoP'
  /** `cnf` of good tokens. Undefined for tokens that are not bound. */
  readonly confirmation: Readonly<Record<string, unknown>> | undefined
  /** The request as it is sent, with its token and a new proof. */
  readonly present: (request: WireRequest) => WireRequest
  /** Takes the nonce of an answer (RFC 9449 §9). True if the API asks for the same request with this nonce. */
  readonly learn: (response: Head) => boolean
}

export function createPresentation(url: URL, declared: Declared, binding: Binding | undefined): Presentation {
  const formed = (request: WireRequest): WireRequest => inDeclaredForm(request, url, declared.request)
  if (binding === 'dpop') return dpopPresentation(url, formed)
  const certificate = binding === 'certificate' ? createCertificate('client-1') : undefined
  return {
    scheme: 'Bearer',
    confirmation: certificate && { 'x5t#S256': thumbprint(certificate.cert) },
    present: (request) => {
      const { token, ...rest } = formed(request)
      if (token === undefined) return rest
      const authorization = ['Authorization', `Bearer ${token}`] as const
      return withCertificate({ ...rest, fields: [authorization, ...(rest.fields ?? [])] }, certificate, declared)
    },
    learn: () => false
  }
}

function dpopPresentation(url: URL, formed: (request: WireRequest) => WireRequest): Presentation {
  const key = createProofKey(() => Date.now() / 1000)
  let nonce: string | undefined
  return {
    scheme: 'DPoP',
    confirmation: { jkt: key.jkt },
    present: (request) => {
      const { token, ...rest } = formed(request)
      if (token === undefined) return rest
      const { method = 'GET', target = '', fields = [] } = rest
      const at = { method, url: new URL(target, url).href, token }
      const proof = key.proof(at, nonce === undefined ? {} : { claims: { nonce } })
      return { ...rest, fields: [['Authorization', `DPoP ${token}`], ['DPoP', proof], ...fields] }
    },
    learn: (response) => {
      nonce = fieldOf(response, 'dpop-nonce') ?? nonce
      return response.status === 401 && /\buse_dpop_nonce\b/.test(fieldOf(response, 'www-authenticate') ?? '')
    }
  }
}

/** A request with credentials to the URL under test, in the form that the user declared: a method, fields and a body. */
function inDeclaredForm(request: WireRequest, url: URL, form: Declared['request']): WireRequest {
  const { fields = [], target = url.pathname } = request
  const has = (name: string): boolean => fields.some(([one]) => one.toLowerCase() === name.toLowerCase())
  const hasCredentials = request.token !== undefined || has('authorization')
  if (form === undefined || !hasCredentials || request.method !== undefined || target.split('?')[0] !== url.pathname)
    return request
  const more = (form.fields ?? []).filter(([name]) => !has(name))
  return { ...form, ...request, fields: [...fields, ...more] }
}

/** Adds a certificate: on the TLS connection, or in the declared field (RFC 9440 §2.1). */
export function withCertificate(
  request: WireRequest,
  certificate: ClientCertificate | undefined,
  { certificateField: field }: Declared
): WireRequest {
  if (certificate === undefined) return request
  if (field === undefined) return { ...request, certificate }
  return { ...request, fields: [...(request.fields ?? []), [field, encoded(certificate)]] satisfies Fields }
}

/** The certificate as RFC 9440 §2.1 writes it. */
export function encoded({ cert }: ClientCertificate): string {
  return `:${new X509Certificate(cert).raw.toString('base64')}:`
}

/** Sends a request, and once more if the API asks for a nonce. */
export async function sendPresented<T extends Head>(
  { present, learn }: Presentation,
  request: WireRequest,
  send: (request: WireRequest) => Promise<T>
): Promise<T> {
  const first = await send(present(request))
  const isAskedAgain = learn(first)
  if (request.token === undefined || !isAskedAgain) return first
  const second = await send(present(request))
  learn(second)
  return second
}

/** The issuer, with good tokens that are bound as the API wants them. A check that sets `cnf` itself keeps its own. */
export function boundIssuer(issuer: SuiteIssuer, presentation: Presentation): SuiteIssuer {
  const { confirmation: cnf, scheme } = presentation
  if (cnf === undefined) return issuer
  const members = { cnf, ...(scheme === 'DPoP' && { token_type: 'DPoP' }) }
  const bound: Partial<SuiteIssuer> = {
    second: issuer.second && boundIssuer(issuer.second, presentation),
    token: (flaw = {}) => issuer.token({ ...flaw, claims: { cnf, ...flaw.claims } }),
    opaque: (answer = {}, flaw = {}) => {
      if (typeof answer !== 'function') return issuer.opaque({ ...members, ...answer }, flaw)
      return issuer.opaque((json) => answer(JSON.stringify({ ...JSON.parse(json), ...members })), flaw)
    },
    listed: (claims) => issuer.listed({ cnf, ...claims }),
    publishOddKeys: (isPublished, claims) => issuer.publishOddKeys(isPublished, { cnf, ...claims })
  }
  // Other members stay those of the issuer, whose getters tell the present.
  return Object.create(issuer, Object.getOwnPropertyDescriptors(bound)) as SuiteIssuer
}
