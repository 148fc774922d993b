// The models that check-onnx.mjs compares: every kind of model, feature and task.

import { adam, binary, Dataset, dense, multiclass, regression, sequence, sparse } from '../dist/index.js'
import { modelClasses } from '../dist/model/classes.js'
import { randomOf } from '../dist/verify/numbers.js'

const texts = ['red', 'green', 'blue', 'grün', '', '值', '🙂', 'a longer text, of more than one block']
const cities = ['Oslo', 'Rome', 'Lima']

/** What draws one value of each feature; `fresh` rows have values that no training row has. */
const drawn = {
  own: ({ integer }) => integer(0, 200),
  limited: ({ integer, fresh }) => (fresh ? integer(-9, 60) : integer(0, 49)),
  limitedOrMissing: (draw) => draw.maybe(draw.integer(-2, 52)),
  text: (draw) => draw.maybe(draw.fresh && draw.random() < 0.1 ? 'unseen' : draw.one(texts)),
  city: (draw) => draw.one(cities),
  number: (draw) => draw.maybe(draw.integer(draw.fresh ? -60 : -50, 50)),
  large: (draw) => 2 ** 53 - 1 - draw.integer(0, 20),
  decimal: (draw) => draw.maybe(draw.integer(-20, draw.fresh ? 30 : 20) / 10),
  // The numbers of a FLOAT column, which count as the decimals that they stand for.
  rounded: (draw) => Math.fround(draw.integer(-20, draw.fresh ? 30 : 20) / 10),
  flag: (draw) => draw.maybe(draw.random() < 0.4),
  day: (draw) => draw.maybe(`2026-11-${String(draw.integer(1, draw.fresh ? 30 : 20)).padStart(2, '0')}`),
  rare: (draw) => `item ${Math.floor(draw.integer(0, 900) ** 2 / 900)}`,
  hashedText: (draw) => draw.maybe(`${draw.one(texts)}${draw.integer(0, 5000)}`),
  hashedNumber: (draw) => draw.maybe(draw.integer(-5000, 2 ** 40)),
  bucketed: (draw) => draw.maybe(draw.random() < 0.2 ? draw.one([-1, 0, 0.5, 2]) : 4 * draw.random() - 2),
  listed: (draw) => draw.maybe(draw.one(['b', 'a', 'z', 'é'])),
  listedNumber: (draw) => draw.maybe(draw.one([3, 7, -1.5, 8])),
  lone: (draw) => draw.one(['a', 'b']),
  tags: (draw) => draw.list(6, () => (draw.fresh && draw.random() < 0.1 ? 'unseen' : draw.one(texts))),
  split: (draw) => draw.list(5, () => draw.one([' one', 'two ', '0', 'three'])).join('|'),
  clicks: (draw) => draw.list(9, () => draw.integer(-3, 90)),
  ids: (draw) => draw.list(4, () => draw.integer(0, 39)),
  looseIds: (draw) => draw.list(4, () => draw.integer(-4, 45)),
  words: (draw) => draw.list(5, () => `${draw.one(texts)} ${draw.integer(0, 999)}`),
  codes: (draw) => draw.list(5, () => draw.integer(-9, 10 ** 9)),
  levels: (draw) => draw.list(3, () => 4 * draw.random() - 2),
  plain: (draw) => draw.maybe(draw.normal()),
  standard: (draw) => draw.maybe(1000 + 30 * draw.normal()),
  scaled: (draw) => draw.maybe(draw.integer(-7, 90)),
  logged: (draw) => draw.maybe(-0.9 + 1000 * draw.random() ** 4),
  loggedStandard: (draw) => 1000 * draw.random() ** 4,
  vector: (draw) => [draw.normal(), draw.normal(), 5 * draw.normal()],
}

const dim = 4
const features = {
  own: sparse('own', { dim, vocabulary: 201 }),
  limited: sparse('limited', { dim, vocabulary: 50, outOfRange: 'oov' }),
  limitedOrMissing: sparse('limitedOrMissing', { dim, vocabulary: 50, outOfRange: 'oov' }),
  text: sparse('text', { dim }),
  city: sparse('city', { dim }),
  number: sparse('number', { dim }),
  large: sparse('large', { dim }),
  decimal: sparse('decimal', { dim }),
  rounded: sparse('rounded', { dim }),
  flag: sparse('flag', { dim }),
  day: sparse('day', { dim, type: 'date' }),
  rare: sparse('rare', { dim, minCount: 3 }),
  hashedText: sparse('hashedText', { dim, hash: 500 }),
  hashedNumber: sparse('hashedNumber', { dim, hash: 501 }),
  bucketed: sparse('bucketed', { dim, buckets: [-1, 0, 0.5, 2] }),
  listed: sparse('listed', { dim, vocabulary: ['a', 'b', 'é'] }),
  listedNumber: sparse('listedNumber', { dim, vocabulary: [7, 3, -1.5] }),
  lone: sparse('lone', { dim, vocabulary: ['a', '\ud800', 'b'] }),
  tags: sequence('tags', { dim, maxLength: 6, combiner: 'mean' }),
  split: sequence('split', { dim, maxLength: 5, combiner: 'mean', separator: '|', padding: '0' }),
  clicks: sequence('clicks', { dim, maxLength: 5, combiner: 'sum' }),
  ids: sequence('ids', { dim, maxLength: 4, combiner: 'sum', vocabulary: 40 }),
  looseIds: sequence('looseIds', { dim, maxLength: 4, combiner: 'mean', vocabulary: 40, outOfRange: 'oov' }),
  words: sequence('words', { dim, maxLength: 5, combiner: 'mean', hash: 300 }),
  codes: sequence('codes', { dim, maxLength: 5, combiner: 'mean', hash: 300 }),
  levels: sequence('levels', { dim, maxLength: 3, combiner: 'mean', buckets: [-1, 1] }),
  plain: dense('plain', { transform: 'none', missing: 0.5 }),
  standard: dense('standard'),
  scaled: dense('scaled', { transform: 'minmax' }),
  logged: dense('logged', { transform: 'log1p', missing: 3 }),
  loggedStandard: dense('loggedStandard', { transform: 'log1pStandardize', missing: 'error' }),
  vector: dense('vector', { width: 3 }),
}
const some = ['own', 'text', 'tags', 'standard'].map((name) => features[name])

const both = [binary('like'), binary('buy')]
const experts = { expertHiddenUnits: [8], towerHiddenUnits: [6] }
const mmoe = { model: 'MMoE', features: some, tasks: both, numExperts: 3, ...experts }

const numbers = [
  ...['squared', 'absolute', 'huber', 'logCosh', 'quantile'].flatMap((loss) =>
    ['none', 'standardize', 'log1p', 'log1pStandardize'].map((transform) => ({ loss, transform })),
  ),
  ...['poisson', 'tweedie', 'weightedLogistic', 'ziln', 'buckets', { kind: 'buckets', count: 5 }].map((loss) => ({ loss })),
]

/** Each has a `name`, and the configuration of its model. */
export const cases = [
  { name: 'MMoE, one task', ...mmoe, tasks: [binary('like')] },
  ...Object.values(features).map((feature) => ({ ...mmoe, name: `feature ${feature.name}`, features: [feature] })),
  { ...mmoe, name: 'MMoE, every feature', features: Object.values(features) },
  { ...mmoe, name: 'OMoE', model: 'OMoE' },
  { ...mmoe, name: 'MMoE, deep experts and gates', expertHiddenUnits: [8, 5], gateHiddenUnits: [4], gateBias: true },
  { ...mmoe, name: 'MMoE, temperature of gates', gateTemperature: 2.5 },
  { ...mmoe, name: 'MMoE, gates with features of their own', gateFeatures: ['own'] },
  { ...mmoe, name: 'MMoE, one gate with features of its own', gateFeatures: { like: ['tags', 'own'] }, bottomHiddenUnits: [7] },
  ...['relu', 'tanh', 'sigmoid', 'gelu', 'swish', 'linear'].map((activation) => {
    return { ...mmoe, name: `MMoE, ${activation}`, activation, bottomHiddenUnits: [7] }
  }),
  { ...mmoe, name: 'MMoE, dropout and penalties', dropout: 0.2, l2: { kernel: 1e-4 } },
  { ...mmoe, name: 'CGC', model: 'CGC', numExperts: undefined, numSharedExperts: 2, numSpecificExperts: [1, 3] },
  { ...mmoe, name: 'CGC, no shared experts', model: 'CGC', numExperts: undefined, numSharedExperts: 0, numSpecificExperts: 2 },
  ...[
    { name: 'PLE, two levels', levels: 2 },
    { name: 'PLE, three levels, gates with features of their own', levels: 3, gateFeatures: ['text'], gateBias: true },
    { name: 'PLE, one level', levels: 1, gateHiddenUnits: [4] },
    ...['concat', 'sum', 'product', ['concat', 'sum', 'product']].map((fusion) => {
      return { name: `PLE, fused by ${fusion}`, levels: 3, fusion }
    }),
  ].map(({ levels, ...own }) => {
    const counts = { numExperts: undefined, numLevels: levels, numSharedExperts: 1, numSpecificExperts: 2 }
    return { ...mmoe, ...counts, ...own, model: 'PLE' }
  }),
  { name: 'SharedBottom', model: 'SharedBottom', features: some, tasks: both, bottomHiddenUnits: [9, 5] },
  {
    name: 'SharedBottom, towers',
    model: 'SharedBottom',
    features: some,
    tasks: both,
    bottomHiddenUnits: [9],
    towerHiddenUnits: [5],
  },
  { name: 'SingleTask', model: 'SingleTask', features: some, tasks: [binary('like')], bottomHiddenUnits: [9] },
  { name: 'ESMM', model: 'ESMM', features: some, tasks: [...both, binary('pay')], towerHiddenUnits: [5] },
  {
    ...mmoe,
    name: 'sampled negatives',
    tasks: [binary('like', { negativeRate: 0.1 }), binary('buy', { negativeRate: 0.1, atMost: 'like' })],
  },
  {
    ...mmoe,
    name: 'focal and smoothed',
    tasks: [binary('like', { focal: { gamma: 2 } }), binary('buy', { labelSmoothing: 0.1 })],
  },
  { ...mmoe, name: 'classes', tasks: [multiclass('kind', { classes: 3 }), binary('buy')] },
  ...numbers.map((options) => {
    const name = `regression, ${JSON.stringify(options.loss)}, ${options.transform ?? 'none'}`
    return { ...mmoe, name, tasks: [regression('seconds', options), binary('buy')] }
  }),
  { ...mmoe, name: 'bfloat16', precision: 'bfloat16', features: Object.values(features), expertHiddenUnits: [8, 8] },
]

/** A model of a case, after a few steps. */
export async function modelOf({ name: _, model, numExperts, ...options }) {
  const count = numExperts === undefined ? {} : { numExperts }
  const made = new modelClasses[model]({ ...options, ...count, seed: 5 })
  const columns = { ...rowsOf(options, 2000, { fresh: false }), ...labels(2000) }
  await made.fit(Dataset.fromColumns(columns), {
    batchSize: 100,
    epochs: 2,
    optimizer: adam({ learningRate: 0.01 }),
  })
  return made
}

/** Random rows, as columns of raw values. */
export function rowsOf({ features: own }, rows, { fresh = true } = {}) {
  return Object.fromEntries(
    own.map(({ name }) => {
      const draw = drawing(fresh ? 11 : 7, fresh)
      return [name, Array.from({ length: rows }, () => drawn[name](draw))]
    }),
  )
}

function labels(rows) {
  const { random, integer } = drawing(3, false)
  const coins = () => Array.from({ length: rows }, () => Number(random() < 0.3))
  return {
    ...{ like: coins(), buy: coins(), pay: coins() },
    kind: Array.from({ length: rows }, () => integer(0, 2)),
    seconds: Array.from({ length: rows }, () => (random() < 0.4 ? 0 : 20 * random() ** 3)),
  }
}

function drawing(seed, fresh) {
  const random = randomOf(seed)
  const integer = (low, high) => low + Math.floor((high - low + 1) * random())
  return {
    random,
    fresh,
    integer,
    one: (values) => values[integer(0, values.length - 1)],
    maybe: (value) => (random() < 0.05 ? null : value),
    list: (most, make) => Array.from({ length: integer(0, most) }, make),
    normal: () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  }
}
