/**
 * Checks of key rotation (RFC 7517 §5): the API learns new keys while requests go on, and drops the old ones.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import type { Check } from '../../check.js'
import { isAccepted, recoverySeconds, requireGood, sendUntil, told, withToken } from '../issuer/judge.js'

/** Tokens that are sent at once. */
const AT_ONCE = 5

/** Rotation of the keys of the issuer. */
export const keys: readonly Check[] = [
  {
    id: 'keys-rotation',
    title: 'Tokens of a new key are accepted in time, while requests go on.',
    profile: 'hardening',
    level: 'hardening',
    needs: ['issuer'],
    isTimed: true,
    run: async (context) => {
      const seconds = recoverySeconds(context)
      context.issuer.rotateKeys()
      const {
        response,
        isRight,
        seconds: passed
      } = await sendUntil(context, () => withToken(context.issuer.token()), isAccepted, seconds)
      if (isRight) context.measured(passed, 'from the rotation to the first token of a new key that was accepted')
      const change = 'Fetch the keys again when a token names an unknown `kid`, with a pause between two fetches.'
      const expected = `The API accepts a token of a new key within ${seconds} seconds.`
      if (!isRight) context.fail({ expected, received: told(response), change })
      const sent = Array.from({ length: AT_ONCE }, () => context.send(withToken(context.issuer.token())))
      const refused = (await Promise.all(sent)).find((one) => !isAccepted(one))
      if (refused !== undefined)
        context.fail({ expected: 'The API accepts all tokens of the new key.', received: told(refused), change })
    }
  },
  {
    id: 'keys-removed',
    title: 'Tokens of a key that was removed are refused, in the time that the API allows itself for revocations.',
    profile: 'hardening',
    level: 'hardening',
    needs: ['issuer'],
    isTimed: true,
    run: async (context) => {
      const { issuer, declared } = context
      const seconds = declared.revocationSeconds ?? 60
      await requireGood(context, () => issuer.token())
      const old = issuer.token()
      issuer.rotateKeys()
      await sendUntil(context, () => withToken(issuer.token()), isAccepted, recoverySeconds(context))
      const isRefused = (answer: Parameters<typeof isAccepted>[0]): boolean => !isAccepted(answer)
      const { response, isRight, seconds: passed } = await sendUntil(context, () => withToken(old), isRefused, seconds)
      if (isRight) context.measured(passed, 'from the first token of a new key to the refusal of the removed one')
      if (!isRight)
        context.fail({
          expected: `The API refuses tokens of a removed key within ${seconds} seconds.`,
          received: told(response),
          change: 'Replace all keys when you fetch the set again, also those of tokens that were verified before.'
        })
    }
  }
]
