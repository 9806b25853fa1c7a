// @ts-check
/** What can be granted, in the words that a person is asked with. */

/** @typedef {{ name: string, description: string }} ScopeWords */

/** @type {Readonly<Record<string, ScopeWords>>} */
export const SCOPES = {
  'messages:read': { name: 'Read messages', description: 'See the messages that you sent and received.' },
  'messages:write': { name: 'Send messages', description: 'Send messages in your name, which you pay for.' },
  'balance:read': { name: 'See your balance', description: 'See how much money is left on your account.' }
}

/** The scopes of this API, and those of your own, which are shown by their names. @param {readonly string[]} more */
export function scopesWith(more) {
  return { ...Object.fromEntries(more.map((name) => [name, { name, description: '' }])), ...SCOPES }
}

/** @param {unknown} text space-delimited @returns {string[]} */
export function splitScope(text) {
  return typeof text === 'string' ? text.split(' ').filter(Boolean) : []
}
