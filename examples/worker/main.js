// Trains in a worker while the main thread stays free, then predicts with the model that the worker saved.
//   node examples/worker/main.js

import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { adam, binary, Dataset, dense, loadModel, MMoE, sparse } from 'multigate'

if (isMainThread) {
  const path = join(await mkdtemp(join(tmpdir(), 'multigate-')), 'model.safetensors')
  let ticks = 0
  const timer = setInterval(() => ticks++, 10)
  const worker = new Worker(new URL(import.meta.url), { workerData: { path } })
  worker.on('message', ({ epoch, loss }) => console.log(`epoch ${epoch}: loss ${loss.toFixed(4)}`))
  await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
  clearInterval(timer)
  console.log(`the main thread ticked ${ticks} times meanwhile`)

  const model = await loadModel(path)
  const { like } = await model.predict({ user: [1, 2, 3], price: [9, 9, 9] })
  console.log('like:', [...like].map((score) => score.toFixed(3)).join(' '))
  model.dispose()
} else {
  const rows = 100_000
  const column = (make) => Array.from({ length: rows }, (_, row) => make(row))
  const train = Dataset.fromColumns({
    user: column((row) => (row * 7) % 50),
    price: column((row) => (row * 13) % 20),
    like: column((row) => (((row * 7) % 50) % 3 === 0 ? 1 : 0)),
  })
  const model = new MMoE({
    features: [sparse('user', { vocabulary: 50, dim: 8 }), dense('price', { transform: 'standardize' })],
    tasks: [binary('like')],
    numExperts: 4,
    expertHiddenUnits: [16],
  })
  await model.fit(train, {
    epochs: 4,
    optimizer: adam({ learningRate: 0.005 }),
    callbacks: [({ epoch, loss }) => parentPort.postMessage({ epoch, loss })],
  })
  await model.save(workerData.path)
  model.dispose()
}
