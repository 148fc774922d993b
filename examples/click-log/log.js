// A click log that never was: users see items, and click, like and follow with probabilities that are known exactly, so
// that a model's AUC can be set beside the best that anyone could reach. Seeded: the same options give the same rows.

/** Tasks with about how often they happen, and how much each of the two tastes below moves them. */
const tasks = [
  { name: 'click', bias: -1.6, shared: 1.0, own: 0.5 },
  { name: 'like', bias: -4.0, shared: 0.9, own: 0.9 },
  { name: 'follow', bias: -5.6, shared: 0.7, own: 1.2 },
]

const dims = 3 // of the hidden tastes: few enough to be learned from a hundred rows per user
const maxTags = 4

/**
 * @typedef {object} ClickLog
 * @property {Record<string, ArrayLike<number> | number[][]>} columns ids, the tags of the item, its age, one label per task
 * @property {Record<string, Float64Array>} probabilities the true probability of each label, by task
 */

/**
 * Draws `rows` rows.
 *
 * @returns {ClickLog}
 */
export function clickLog({ rows, users = 2000, items = 1500, authors = 150, tags = 40, seed = 1 }) {
  // The world has a random stream of its own: it is the same however many rows are drawn.
  const world = drawWorld(numbers(seed), { users, items, authors, tags })
  const random = numbers(seed + 1)
  const columns = {
    user: new Int32Array(rows),
    item: new Int32Array(rows),
    author: new Int32Array(rows),
    tags: new Array(rows),
    hours_old: new Float32Array(rows),
    ...Object.fromEntries(tasks.map(({ name }) => [name, new Float32Array(rows)])),
  }
  const probabilities = Object.fromEntries(tasks.map(({ name }) => [name, new Float64Array(rows)]))
  for (let row = 0; row < rows; row++) {
    const user = Math.floor(users * random.uniform() ** 1.5) // low ids are the busy ones
    const item = Math.floor(items * random.uniform() ** 1.5)
    const hours = -36 * Math.log(1 - random.uniform())
    columns.user[row] = user
    columns.item[row] = item
    columns.author[row] = world.authorOf[item]
    columns.tags[row] = world.tagsOf[item]
    columns.hours_old[row] = hours
    tasks.forEach((task, index) => {
      const probability = 1 / (1 + Math.exp(-logit(world, task, index, user, item, hours)))
      probabilities[task.name][row] = probability
      columns[task.name][row] = random.uniform() < probability ? 1 : 0
    })
  }
  return { columns, probabilities }
}

export const taskNames = tasks.map(({ name }) => name)

/** Users like some tags and authors in general (shared) and some for this kind of action only (own); old items less. */
function logit(world, { bias, shared, own }, index, user, item, hours) {
  const general = dot(world.users[0][user], world.items[0][item])
  const specific = dot(world.users[index + 1][user], world.items[index + 1][item])
  return bias + world.mood[index][user] + world.quality[index][item] + shared * general + own * specific - 0.3 * Math.log1p(hours / 12)
}

function drawWorld(random, { users, items, authors, tags }) {
  const vectors = (count, scale) => Array.from({ length: count }, () => Array.from({ length: dims }, () => scale * random.normal()))
  const each = (make) => Array.from({ length: tasks.length + 1 }, make)
  const authorOf = Int32Array.from({ length: items }, () => Math.floor(authors * random.uniform() ** 1.5))
  // Tag 0 is padding.
  const tagsOf = Array.from({ length: items }, () => {
    const count = 1 + Math.floor(maxTags * random.uniform())
    return [...new Set(Array.from({ length: count }, () => 1 + Math.floor((tags - 1) * random.uniform())))]
  })
  const itemsOf = () => {
    const ofTag = vectors(tags, 0.9)
    const ofAuthor = vectors(authors, 0.6)
    return Array.from({ length: items }, (_, item) => {
      return ofAuthor[authorOf[item]].map((value, k) => value + mean(tagsOf[item].map((tag) => ofTag[tag][k])))
    })
  }
  const scalars = (count, scale) => tasks.map(() => Float64Array.from({ length: count }, () => scale * random.normal()))
  return {
    authorOf,
    tagsOf,
    users: each(() => vectors(users, 0.6)),
    items: each(itemsOf),
    mood: scalars(users, 0.5),
    quality: scalars(items, 0.4),
  }
}

function dot(a, b) {
  return a.reduce((sum, value, k) => sum + value * b[k], 0)
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length
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
