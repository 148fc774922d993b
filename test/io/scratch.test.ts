// Scratch files: what is written comes back, nothing is left, and a full disk is an error that says what to do.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

import { ScratchFile } from '../../lib/io/scratch.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-'))

it('gives back what was written, in any order, from a file without a name', async () => {
  const file = await ScratchFile.create(folder, 'scratch')
  const parts = Array.from({ length: 5 }, (_, part) => Uint8Array.from({ length: 70_000 }, (_, at) => (at * 7 + part) % 251))
  for (const [part, bytes] of parts.entries()) await file.write(part * 70_000, bytes)
  expect(readdirSync(folder)).toEqual([])
  for (const part of [3, 0, 4]) {
    const bytes = new Uint8Array(70_000)
    await file.read(part * 70_000, bytes)
    expect(bytes).toEqual(parts[part])
  }
  await expect(file.read(4.5 * 70_000, new Uint8Array(70_000))).rejects.toThrow(refusal('WRITE', { file: folder, says: 'gone' }))
  await file.checkRoom(1)
  await expect(file.checkRoom(2 ** 70)).rejects.toThrow(refusal('WRITE', { file: folder, says: ['are free', 'set scratch'] }))
  await file.close()
})

it('uses the temporary folder without another one', async () => {
  const file = await ScratchFile.create(undefined, 'scratch')
  expect(file.folder).toBe(process.env['TMPDIR'] ?? file.folder)
  await file.close()
  const none = join(folder, 'none')
  await expect(ScratchFile.create(none, 'scratch')).rejects.toThrow(
    refusal('WRITE', { file: none, says: ['ENOENT', 'set scratch'] }),
  )
})

const script = `
import { binary, Dataset, dense, SharedBottom } from ${JSON.stringify(fileURLToPath(new URL('../../dist/index.js', import.meta.url)))}
const column = (make) => Float64Array.from({ length: 100_000 }, (_, row) => make(row))
const train = Dataset.fromColumns({ x: column((row) => row / 7), y: column((row) => row % 2) })
const net = new SharedBottom({ features: [dense('x')], tasks: [binary('y')], bottomHiddenUnits: [4], towerHiddenUnits: [4] })
const parts = () => Array.from({ length: 10 }, (_, part) => train.slice(10_000 * part, 10_000 * (part + 1)))
const options = { batchSize: 100, stream: { memory: 20_000, scratch: ${JSON.stringify(folder)} } }
await net.fit(parts, options).catch((error) => console.log(error.code, error.message))
console.log(net.built)
`

it.skipIf(process.platform === 'win32')(
  'says that a file cannot grow, in the middle of it, and leaves nothing',
  { timeout: 60_000 },
  () => {
    // The file would have 800 KB. A limit of the process stands for a full disk.
    const limited = `trap '' XFSZ; ulimit -f 200; exec "$0" --input-type=module --eval "$1"`
    const { stdout, stderr } = spawnSync('bash', ['-c', limited, process.execPath, script], { encoding: 'utf8' })
    expect(stdout, stderr).toMatch(/^ERR_MULTIGATE_WRITE .*of encoded rows: EFBIG.*; set fit\.stream\.scratch .*\nfalse\n$/)
    expect(readdirSync(folder)).toEqual([])
  },
)
