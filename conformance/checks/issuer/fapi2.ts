/**
 * The FAPI 2.0 Security Profile, where it asks more of a resource server than the RFCs: only of an API that is declared to follow it.
 *
 * Tests: `test/conformance/bound.test.ts`, `test/conformance/mutants.suite.ts`.
 */
import type { Check } from '../../check.js'
import * as source from '../sources.js'
import { requireRefusal } from './judge.js'
import { ProvenClient, provenClient } from './rfc9449.js'

/** FAPI 2.0. */
export const fapi2: readonly Check[] = [
  {
    id: 'fapi2-dpop-rs256',
    title: 'A good proof that is signed by RS256 is refused.',
    profile: 'fapi2',
    // "shall" of a text of OpenID is the "MUST" of an RFC.
    level: 'MUST',
    source: source.FAPI_ALGORITHMS,
    needs: ['issuer', 'dpop', 'fapi2'],
    run: async (context) => {
      // A good proof by ES256 shows that nothing but the algorithm is wrong.
      const { nonce } = await provenClient(context)
      const client = new ProvenClient(context, context.issuer.dpopKey('RS256'), nonce)
      const change = 'Accept proofs by PS256, ES256 and EdDSA with Ed25519 only, and name these in the metadata.'
      await requireRefusal(context, client.request(client.proof()), 'The API refuses the proof with 401.', change)
    }
  }
]
