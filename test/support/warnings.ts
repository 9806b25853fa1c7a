/** What the process is warned of (`process.emitWarning`), read instead of printed. */
import { setImmediate } from 'node:timers/promises'

export interface Warned {
  readonly code: string
  readonly message: string
}

/** Keeps the warnings of a test file off its output: nobody prints them but Node's own listener. Call it at the top. */
export function silenceWarnings(): void {
  process.removeAllListeners('warning')
}

/** The warnings of this process while something runs. Node emits one in a later tick. */
export async function warningsOf(run: () => unknown): Promise<readonly Warned[]> {
  const seen: Warned[] = []
  const listen = (warning: Error & { code?: string }): void => {
    seen.push({ code: warning.code ?? '', message: warning.message })
  }
  await setImmediate() // Those of before.
  process.on('warning', listen)
  try {
    await run()
    await setImmediate()
  } finally {
    process.off('warning', listen)
  }
  return seen
}
