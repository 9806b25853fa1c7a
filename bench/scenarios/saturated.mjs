// @ts-check
import { atLeast, atMost, labelOf } from '../lib/result.mjs'
import { interleaveServers } from '../lib/servers.mjs'
import { median, ratios, short } from '../lib/stats.mjs'

/** @type {import('../lib/result.mjs').Scenario} */
export default {
  name: 'saturated',
  title: 'Tokens that were never seen, at saturation',
  about:
    'A bare `node:http` server on all cores, 64 connections that never wait, distinct RS256 tokens, and concurrently a `/ping` that needs no token. `raw` only checks signatures, synchronously.',
  run: async ({ file, effort }) => {
    const modules = ['', 'raw', 'ours', 'jose']
    const samples = await interleaveServers(
      file,
      'node',
      modules.map((module) => ({ label: module, module })),
      [{ tokens: 'rs256', distinct: 12_000 }],
      {
        rounds: effort.servers.rounds,
        milliseconds: 2 * effort.servers.milliseconds,
        warmUp: effort.servers.warmUp,
        connections: 64,
        ping: true,
        cores: 0
      }
    )
    const [raw, ours] = [samples.get('raw 0'), samples.get('ours 0')]
    return {
      targets: [
        atLeast(
          'saturated: requests per second, times those of pure sync',
          1.25,
          median(ratios(ours?.perSecond ?? [], raw?.perSecond ?? []))
        ),
        atMost(
          'saturated: ping p50, times that of pure sync',
          0.6,
          median(ratios(ours?.pingP50 ?? [], raw?.pingP50 ?? []))
        )
      ],
      tables: [
        {
          caption: 'RS256',
          columns: ['', 'requests/s', 'CPU, µs a request', 'p50, ms', 'p99, ms', 'ping p50, ms'],
          rows: modules.map((module) => {
            const one = samples.get(`${module} 0`)
            const value = (/** @type {'perSecond' | 'cpu' | 'p50' | 'p99' | 'pingP50'} */ name) =>
              short(median(one?.[name] ?? []))
            return [
              module ? labelOf(module) : 'unprotected',
              value('perSecond'),
              value('cpu'),
              value('p50'),
              value('p99'),
              value('pingP50')
            ]
          })
        }
      ]
    }
  }
}
