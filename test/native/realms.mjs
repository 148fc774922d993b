// Run by realms.test.ts: the library in two realms of its own and in this one, all at once. Prints what each saw.

import { inNewRealm } from '../support/realm.mjs'

const library = new URL('../../dist/index.js', import.meta.url).href
const ops = new URL('../../dist/ops.js', import.meta.url).href

const source = `
import { MMoE, Dataset, sparse, dense, binary, earlyStopping, MultigateError } from '${library}'
import { mixtureForward, topology } from '${ops}'

export const saw = {}
export const symbols = [Symbol.dispose, Symbol.asyncDispose]
const data = Dataset.fromColumns({ u: Int32Array.of(0, 1, 2, 3), x: Float32Array.of(1, 2, 3, 4), y: [0, 1, 0, 1] })
const model = new MMoE({ features: [sparse('u', { vocabulary: 9, dim: 4 }), dense('x')], tasks: [binary('y')], numExperts: 2, expertHiddenUnits: [4] })
const { epochs } = await model.fit(data, { epochs: 2, validation: data, callbacks: [earlyStopping({ monitor: 'val_loss' })] })
saw.epochs = epochs.length
const scores = await model.predict(data)
saw.scores = scores.y instanceof Float32Array && scores.y.length === 4
const batch = model.createBatch(4)
model.fill(batch, data)
saw.sync = model.predictSync(batch).y.every((score, row) => score === scores.y[row])

const place = (device, floats) => {
  const level = topology.mmoe({ inputDim: 2, numExperts: 2, units: 2, numTasks: 1 })
  const params = { expertKernel: new floats(8).fill(0.1), expertBias: new floats(4), gateKernel: [new floats(4)] }
  return mixtureForward(level, params, new floats(4).fill(1), { device }).outputs[0]
}
saw.ops = place('cpu', Float32Array) instanceof Float32Array
saw.wide = place('reference', Float64Array)[0] === 0.2
/** Arrays of whoever calls. */
export const foreign = (arrays) => place('cpu', arrays)[0]

const coded = (call) => {
  try {
    call()
    return 'no error'
  } catch (error) {
    return error instanceof MultigateError ? error.code : 'of another class'
  }
}
export const errors = async () => [
  coded(() => model.predictSync(batch, { rows: 9 })),
  coded(() => model.createBatch(2 ** 31 - 1)),
]
const messageOf = (reading) => reading.then(() => 'no error', ({ message }) => message)
export const messages = async () => [
  await messageOf(Dataset.fromQuery('SELECT random()')),
  await messageOf(Dataset.fromQuery('SELECT nothing')),
]
export const end = () => {
  batch[Symbol.dispose]()
  model[Symbol.dispose]()
  return coded(() => model.predictSync(batch))
}
`

const realms = [await inNewRealm(source, import.meta.url), await inNewRealm(source, import.meta.url)]
const { sparse, MultigateError } = await import(library)
const seen = []
for (const { saw, errors, messages, foreign, symbols } of [...realms, ...realms]) {
  const agree = symbols[0] === Symbol.dispose && symbols[1] === Symbol.asyncDispose
  seen.push({
    ...saw,
    foreign: foreign(Float32Array) === Math.fround(0.2),
    symbols: agree,
    errors: await errors(),
    messages: await messages(),
  })
}
let own = 'no error'
try {
  sparse('')
} catch (error) {
  own = error instanceof MultigateError
}
process.stdout.write(`${JSON.stringify({ seen, own, ends: realms.map(({ end }) => end()) })}\n`)
