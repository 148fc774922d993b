// Compares our measurements with those of the peers.

import { milliseconds } from '../dist/cli/commands/bench.js'
import { table } from '../dist/report/text.js'

/** The fastest float32 variant of each peer on each workload. */
export function bestPeers(lines) {
  const best = new Map()
  for (const line of lines) {
    if (line.variant.includes('bf16')) continue
    const key = `${line.workload} ${line.mode} ${line.n} ${line.peer}`
    if (!(best.get(key)?.median_ms <= line.median_ms)) best.set(key, line)
  }
  return [...best.values()]
}

/** The peers of one of our results. Peers update every embedding row, as `-exact` does; lazy updates are compared with them too. */
export function peersOf({ workload, mode, n }, peers) {
  const [name] = workload.split('-')
  const theirs = mode === 'train' ? `train-${name}` : name
  return bestPeers(peers).filter((line) => line.workload === theirs && line.mode === mode && line.n === n)
}

/** One line per workload that a peer has too. `after`: our results, measured again at the end. */
export function ratioTable(results, after, peers) {
  const names = [...new Set(bestPeers(peers).map(({ peer }) => peer))]
  const rows = results.flatMap((result) => {
    const found = peersOf(result, peers)
    if (found.length === 0) return []
    const again = after.find(({ workload, mode, n }) => workload === result.workload && mode === result.mode && n === result.n)
    const ours = Math.max(result.median_ms, again?.median_ms ?? 0)
    const cells = names.map((name) => {
      const line = found.find(({ peer }) => peer === name)
      return line === undefined ? '' : `${milliseconds(line.median_ms)} ${line.variant}`
    })
    const best = Math.min(...found.map(({ median_ms }) => median_ms))
    return [
      [
        result.workload,
        result.mode,
        String(result.n),
        milliseconds(result.median_ms),
        again === undefined ? '' : milliseconds(again.median_ms),
        ...cells,
        `${(best / ours).toFixed(1)}x`,
      ],
    ]
  })
  return table(['workload', 'mode', 'rows', 'ours', 'again', ...names, ''], rows)
}
