// Checks that this machine computes correct results. It compares every instruction set and GPU, in each precision, with the float64
// reference on random levels and whole training runs, and requires the same bits for any number of threads. It computes the truth
// itself and reads no files.

import { isTypedArray } from '../core/arrays.js'
import { precisions } from '../core/precision.js'
import { binary, Dataset, dense, MMoE, type Model, PLE, sequence, sparse } from '../index.js'
import type { FloatArray, Precision } from '../native/binding.js'
import { loadNative } from '../native/loader.js'
import { mixtureGrad } from '../ops.js'
import { adam } from '../optimizers/adam.js'
import { type MixtureCase, randomCase } from './levels.js'
import { randomOf } from './numbers.js'

/** A place to verify against the reference in the same precision. */
export interface VerifiedPlace {
  readonly device: 'cpu' | 'cuda'
  readonly isa: string | undefined
  readonly precision: Precision
}

export interface PlaceReport extends VerifiedPlace {
  /** Number of levels and training runs. */
  readonly checks: number
  /** The largest error of an output or gradient, ||got - want|| / ||want||, and its limit. */
  readonly levelError: number
  readonly levelLimit: number
  /** The largest difference of a prediction after training, and its limit. */
  readonly trainingError: number
  readonly trainingLimit: number
  /** Whether 1 thread and several give the same bits. */
  readonly sameBits: boolean
  readonly passed: boolean
}

// tf32 is compared with float32, other precisions with the reference in the same precision.
const limits = {
  float32: { level: 1e-5, training: 1e-3 },
  tf32: { level: 2e-3, training: 3e-2 },
  bfloat16: { level: 2e-3, training: 3e-2 },
} as const
const smooth = ['tanh', 'sigmoid', 'gelu', 'swish', 'linear'] as const
const threads = 3

/** All places of this machine. */
export function placesOf(): VerifiedPlace[] {
  const native = loadNative()
  const cuda = native.devices().some(({ name, available }) => name === 'cuda' && available)
  const places = native
    .isas()
    .flatMap((isa) => (['float32', 'bfloat16'] as const).map((precision) => ({ device: 'cpu' as const, isa, precision })))
  return cuda ? [...places, ...precisions.map((precision) => ({ device: 'cuda' as const, isa: undefined, precision }))] : places
}

/** Verifies one place with `levels` random levels and two models. */
export async function verify(place: VerifiedPlace, levels: number): Promise<PlaceReport> {
  const { level: levelLimit, training: trainingLimit } = limits[place.precision]
  const cases = Array.from({ length: levels }, (_, seed) => {
    return randomCase(seed, { rows: 70, width: 48, experts: 8, units: 40, hidden: 2, activations: smooth })
  })
  const levelError = Math.max(...cases.map((one) => levelErrorOf(one, place)))
  const runs = [await trainingOf(place, 'MMoE'), await trainingOf(place, 'PLE')]
  const trainingError = Math.max(...runs.map(({ error }) => error))
  const sameBits = runs.every((run) => run.sameBits)
  const passed = levelError <= levelLimit && trainingError <= trainingLimit && sameBits
  return { ...place, checks: levels + runs.length, levelError, levelLimit, trainingError, trainingLimit, sameBits, passed }
}

function levelErrorOf({ topology, params, x, upstream }: MixtureCase, { device, isa, precision }: VerifiedPlace): number {
  const want = arraysOf(mixtureGrad(topology, params, x, upstream, { device: 'reference', precision: referenceOf(precision) }))
  const got = arraysOf(mixtureGrad(topology, params, x, upstream, { device, ...(isa !== undefined && { isa }), precision }))
  return Math.max(...want.map((values, index) => errorOf(got[index] ?? new Float32Array(0), values)))
}

function referenceOf(precision: Precision): Precision {
  return precision === 'tf32' ? 'float32' : precision
}

function arraysOf(value: object): FloatArray[] {
  if (isTypedArray(value, 'Float32Array') || isTypedArray(value, 'Float64Array')) return [value]
  return Object.values(value).flatMap((item) => arraysOf(item as object))
}

/** Error relative to the norm. The least norm allows for float32 rounding of values that almost cancel out. */
function errorOf(got: FloatArray, want: FloatArray): number {
  if (want.length === 0) return 0 // a stream that no expert reads has no kernel
  let [difference, norm] = [0, 0]
  for (const [index, value] of want.entries()) {
    difference += ((got[index] ?? Number.NaN) - value) ** 2
    norm += value ** 2
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), 0.1 * Math.sqrt(want.length))
}

const rows = 1500
const tasks = [binary('click'), binary('buy')] as const
const features = [
  sparse('user', { vocabulary: 50, dim: 6 }),
  sequence('tags', { vocabulary: 20, dim: 5, maxLength: 3, combiner: 'mean' }),
  dense('price', { transform: 'standardize' }),
]

function log(): Dataset {
  const random = randomOf(11)
  const user = Int32Array.from({ length: rows }, () => Math.floor(50 * random()))
  const chance = (logit: number): number => (random() < 1 / (1 + Math.exp(-logit)) ? 1 : 0)
  return Dataset.fromColumns({
    user,
    tags: Array.from(user, (id) => [1 + (id % 19), 1 + ((7 * id) % 19)]),
    price: Float32Array.from({ length: rows }, () => 10 * random()),
    click: Array.from(user, (id) => chance(Math.sin(id))),
    buy: Array.from(user, (id) => chance(Math.cos(id) - 1)),
  })
}

interface TrainingResult {
  readonly error: number
  readonly sameBits: boolean
}

async function trainingOf({ device, isa, precision }: VerifiedPlace, name: 'MMoE' | 'PLE'): Promise<TrainingResult> {
  const data = log()
  const predictions = async (where: object): Promise<Float32Array> => {
    using model = make(name, { precision, ...where })
    await model.fit(data, { batchSize: 128, epochs: 2, optimizer: adam({ learningRate: 0.005 }) })
    const scores = await model.predict(data)
    return Float32Array.from(Object.values<Float32Array>(scores).flatMap((values) => [...values]))
  }
  const here = { device, ...(isa !== undefined && { isa }) }
  const [want, one, several] = [
    await predictions({ device: 'reference', precision: referenceOf(precision) }),
    await predictions({ ...here, threads: 1 }),
    await predictions({ ...here, threads }),
  ]
  const error = one.reduce((most, value, index) => Math.max(most, Math.abs(value - (want[index] ?? Number.NaN))), 0)
  return { error, sameBits: one.every((value, index) => Object.is(value, several[index])) }
}

function make(name: 'MMoE' | 'PLE', options: object): Model {
  const common = {
    features,
    tasks,
    expertHiddenUnits: [16],
    towerHiddenUnits: [8],
    activation: 'tanh' as const,
    dropout: 0.1,
    seed: 2,
    ...options,
  }
  const model =
    name === 'MMoE'
      ? new MMoE({ ...common, numExperts: 4 })
      : new PLE({ ...common, numSharedExperts: 2, numSpecificExperts: [1, 2] })
  return model as unknown as Model
}
