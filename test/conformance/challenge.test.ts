/** The suite's parser of challenges, on the examples of the RFCs and on broken lines. */
import { describe, expect, test } from 'vitest'
import { challengeOf, challengesOf, parameterOf } from '../../conformance/challenge.js'

const answer = (...lines: string[]): Parameters<typeof challengesOf>[0] => ({
  status: 401,
  body: '',
  fields: lines.map((value) => ['www-authenticate', value] as const)
})

describe('challenges', () => {
  test('reads the example of RFC 9110 §11.6.1: two challenges in one line', () => {
    const { challenges, problem } = challengesOf(
      answer('Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""')
    )
    expect(problem).toBeUndefined()
    expect(challenges).toEqual([
      { scheme: 'Basic', parameters: [{ name: 'realm', value: 'simple', isQuoted: true }] },
      {
        scheme: 'Newauth',
        parameters: [
          { name: 'realm', value: 'apps', isQuoted: true },
          { name: 'type', value: '1', isQuoted: false },
          { name: 'title', value: 'Login to "apps"', isQuoted: true }
        ]
      }
    ])
  })

  test.each([
    ['Bearer', [['Bearer', 0]]],
    [
      'Negotiate, Bearer realm="x"',
      [
        ['Negotiate', 0],
        ['Bearer', 1]
      ]
    ],
    [
      'Negotiate YII=, Basic realm="x"',
      [
        ['Negotiate', 1],
        ['Basic', 1]
      ]
    ],
    [', Bearer realm = "x" ,, scope="a" ,', [['Bearer', 2]]],
    [
      'DPoP algs="ES256 PS256", Bearer',
      [
        ['DPoP', 1],
        ['Bearer', 0]
      ]
    ]
  ] as const)('reads %s', (line, expected) => {
    const { challenges, problem } = challengesOf(answer(line))
    expect(problem).toBeUndefined()
    expect(challenges.map(({ scheme, parameters }) => [scheme, parameters.length])).toEqual(expected)
  })

  test.each([
    ['Bearer realm="x'],
    ['Bearer realm=x y'],
    ['Bearer realm="x" scope="y"'],
    ['Bearer resource_metadata=https://api.example.com/x'],
    ['"Bearer"']
  ])('says where %s breaks the grammar', (line) => {
    expect(challengesOf(answer(line)).problem).toMatch(/ at character \d+ of "/)
  })

  test('finds a challenge in the second line, and a parameter, in any case', () => {
    const response = answer('DPoP algs="ES256"', 'bearer Error="invalid_token"')
    expect(parameterOf(challengeOf(response), 'error')).toBe('invalid_token')
  })
})
