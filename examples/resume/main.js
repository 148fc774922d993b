// Shows that a run resumed from its last checkpoint ends with the same bytes as an uninterrupted one.
//   node examples/resume/main.js

import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adam, binary, checkpoint, Dataset, dense, PLE, sparse } from 'multigate'

const rows = 20_000
const column = (make) => Array.from({ length: rows }, (_, row) => make(row))
const train = Dataset.fromColumns({
  user: column((row) => (row * 7) % 500),
  price: column((row) => Math.sin(row)),
  like: column((row) => ((row * 7) % 500) % 2),
  share: column((row) => (((row * 7) % 500) % 5 === 0 ? 1 : 0)),
})
const create = () =>
  new PLE({
    features: [sparse('user', { dim: 8 }), dense('price')],
    tasks: [binary('like'), binary('share')],
    numSharedExperts: 2,
    numSpecificExperts: 1,
    expertHiddenUnits: [16],
    dropout: 0.1,
    seed: 1,
  })
const options = { epochs: 6, batchSize: 1000, optimizer: adam({ learningRate: 0.002 }) }
const folder = await mkdtemp(join(tmpdir(), 'multigate-'))
const [whole, resumed, last] = ['whole', 'resumed', 'last'].map((name) => join(folder, `${name}.safetensors`))

const first = create()
await first.fit(train, options)
await first.save(whole)

const second = create()
const stop = new AbortController()
const breakOff = { onStep: ({ epoch, step }) => epoch === 4 && step === 7 && stop.abort() }
await second.fit(train, { ...options, callbacks: [checkpoint({ path: last }), breakOff], signal: stop.signal }).catch((error) => {
  console.log(`broken off: ${error.message}`)
})

const third = create()
const history = await third.fit(train, { ...options, resume: last })
await third.save(resumed)
console.log(`resumed, ${history.epochs.length} epochs in all`)
for (const model of [first, second, third]) model.dispose()
const [one, other] = [await readFile(whole), await readFile(resumed)]
console.log(one.equals(other) ? 'the same bytes' : 'OTHER BYTES')
if (!one.equals(other)) process.exit(1)
