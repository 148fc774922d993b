// A made-up click log. Every probability is known exactly, so a model's AUC can be compared with the best possible one. Seeded: the same
// options give the same rows.
//
//   logit = bias + tastes of the user . tastes of the item, weighed by task + mood of the user + quality of the item - age
//
// A user's tastes follow from region and age band, an item's from its author and tags. Tasks weigh the tastes differently, some with
// opposite signs: what makes people click need not make them stay.

/** Per task: bias (how rare it is), weight of each taste, of the user's mood, of the item's quality, of its age. */
const tasks = {
  click: { bias: -1.7, tastes: [1.0, 0.9, -0.3, 0.2], mood: 0.8, quality: 0.5, age: 0.3 },
  finish: { bias: -2.4, tastes: [-0.7, 0.9, 0.9, 0.2], mood: 0.3, quality: 0.9, age: 0.1 },
  like: { bias: -3.9, tastes: [0.5, 0.6, 0.2, 1.1], mood: 0.7, quality: 0.7, age: 0.2 },
  share: { bias: -5.0, tastes: [0.3, -0.6, 0.6, 1.2], mood: 0.5, quality: 0.9, age: 0.6 },
}

export const taskNames = Object.keys(tasks)

const numTastes = 4
/** Ids are integers in [0, vocabulary). */
export const vocabulary = { user: 1500, region: 12, age_band: 6, item: 800, author: 80, tags: 30 }

/** Draws `rows` impressions: `columns` for Dataset.fromColumns, and the true probability of every label. */
export function clickLog({ rows, seed = 1 }) {
  const world = drawWorld(numbers(seed)) // has random numbers of its own: the same for any number of rows
  const random = numbers(seed + 1)
  const ids = ['user', 'region', 'age_band', 'item', 'author']
  const columns = {
    ...Object.fromEntries(ids.map((name) => [name, new Int32Array(rows)])),
    tags: new Array(rows),
    hours_old: new Float32Array(rows),
    ...Object.fromEntries(taskNames.map((task) => [task, new Float32Array(rows)])),
  }
  const probabilities = Object.fromEntries(taskNames.map((task) => [task, new Float64Array(rows)]))
  for (let row = 0; row < rows; row++) {
    const user = Math.floor(vocabulary.user * random.uniform() ** 1.3) // low ids are the busy ones
    const item = Math.floor(vocabulary.item * random.uniform() ** 1.3)
    const hours = -36 * Math.log(1 - random.uniform())
    columns.user[row] = user
    columns.region[row] = world.regionOf[user]
    columns.age_band[row] = world.ageBandOf[user]
    columns.item[row] = item
    columns.author[row] = world.authorOf[item]
    columns.tags[row] = world.tagsOf[item]
    columns.hours_old[row] = hours
    for (const task of taskNames) {
      const probability = 1 / (1 + Math.exp(-logit(world, tasks[task], user, item, hours)))
      probabilities[task][row] = probability
      columns[task][row] = random.uniform() < probability ? 1 : 0
    }
  }
  return { columns, probabilities }
}

function logit(world, { bias, tastes, mood, quality, age }, user, item, hours) {
  let sum = bias + mood * world.mood[user] + quality * world.quality[item] - age * Math.log1p(hours / 12)
  for (let k = 0; k < numTastes; k++) sum += tastes[k] * world.userTastes[user][k] * world.itemTastes[item][k]
  return sum
}

function drawWorld(random) {
  const scalars = (count, scale) => Float64Array.from({ length: count }, () => scale * random.normal())
  const vectors = (count, scale) => Array.from({ length: count }, () => scalars(numTastes, scale))
  const choices = (count, of) => Int32Array.from({ length: count }, () => Math.floor(of * random.uniform()))
  const sum = (...parts) => parts[0].map((_, k) => parts.reduce((total, part) => total + part[k], 0))

  const regionOf = choices(vocabulary.user, vocabulary.region)
  const ageBandOf = choices(vocabulary.user, vocabulary.age_band)
  const [ofRegion, ofAgeBand] = [vectors(vocabulary.region, 0.9), vectors(vocabulary.age_band, 0.9)]
  const authorOf = choices(vocabulary.item, vocabulary.author)
  const tagsOf = Array.from({ length: vocabulary.item }, () =>
    [...new Set(choices(1 + Math.floor(4 * random.uniform()), vocabulary.tags - 1))].map((tag) => tag + 1),
  ) // 0 is padding
  const [ofAuthor, ofTag] = [vectors(vocabulary.author, 0.7), vectors(vocabulary.tags, 0.9)]
  return {
    regionOf,
    ageBandOf,
    authorOf,
    tagsOf,
    mood: scalars(vocabulary.user, 0.6),
    quality: scalars(vocabulary.item, 0.6),
    userTastes: Array.from(regionOf, (region, user) => sum(ofRegion[region], ofAgeBand[ageBandOf[user]])),
    itemTastes: Array.from(authorOf, (author, item) => {
      const tags = tagsOf[item]
      return sum(
        ofAuthor[author],
        sum(...tags.map((tag) => ofTag[tag])).map((total) => total / tags.length),
      )
    }),
  }
}

/** Seeded random numbers: the splitmix32 generator. */
function numbers(seed) {
  let state = seed >>> 0
  const uniform = () => {
    state = (state + 0x9e3779b9) >>> 0
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32
  }
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  return { uniform, normal }
}
