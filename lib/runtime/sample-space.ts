// The sample space of a task: the rows that its conditions (`where`) leave in.

import { quote } from '../core/check.js'
import { DataError } from '../core/errors.js'
import { allocate } from '../core/memory.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import type { Dataset } from '../data/dataset.js'
import { describeWhere, meets } from '../tasks/condition.js'
import { comparedLabels, labelColumnOf, type Task } from '../tasks/task.js'
import { columnOf, numbersOf } from './source.js'

/** Which rows of a dataset are in the sample spaces of tasks. */
export class SampleSpace {
  readonly #tasks: ReadonlyMap<string, Task>
  readonly #data: Dataset
  readonly #inside = new Map<Task, Uint8Array>()

  constructor(tasks: readonly Task[], data: Dataset) {
    this.#tasks = new Map(tasks.map((task) => [task.name, task]))
    this.#data = data
  }

  /** The columns that a task's labels need, with those of the tasks that its conditions name. */
  columnsOf(task: Task): Set<string> {
    const columns = new Set<string>()
    const needed = new Set([task])
    for (const one of needed) {
      columns.add(labelColumnOf(one))
      for (const name of Object.keys(one.where ?? {})) {
        const other = this.#tasks.get(name)
        if (other === undefined) columns.add(name)
        else needed.add(other)
      }
    }
    return columns
  }

  /** 1 for a row inside, else 0; undefined for a task without conditions. */
  *inside(task: Task): Sliced<Uint8Array | undefined> {
    const { where } = task
    const known = this.#inside.get(task)
    if (where === undefined || known !== undefined) return known
    const rows = allocate(`rows of task ${quote(task.name)}`, Uint8Array, this.#data.rows).fill(1)
    for (const [name, condition] of Object.entries(where)) {
      const other = this.#tasks.get(name)
      const column = columnOf(this.#data, other === undefined ? name : labelColumnOf(other), `task ${quote(task.name)}`, 'where')
      const met = yield* numbersOf(this.#data, column, (values) => {
        const compared = other === undefined ? values : comparedLabels(other, values)
        if (compared.kind !== 'list') return meets(condition, compared)
        const message = `task ${quote(task.name)}, where: expected one value per row in column ${quote(column)}, found lists; name another column`
        throw new DataError(message, { column })
      })
      const within = other?.outsideWeight === undefined && other !== undefined ? yield* this.inside(other) : undefined
      yield* inBlocks(0, rows.length, (from, to) => {
        for (let row = from; row < to; row += 1) if (met[row] !== 1 || within?.[row] === 0) rows[row] = 0
      })
    }
    this.#inside.set(task, rows)
    return rows
  }

  /** @throws ERR_MULTIGATE_DATA if no row is inside. */
  checkSome(task: Task, inside: Uint8Array): void {
    if (inside.includes(1)) return
    const found = `task ${quote(task.name)}, where: expected a row in the training rows where ${describeWhere(task.where ?? {})}, found none`
    throw new DataError(`${found}; set where to values that occur together`, { column: Object.keys(task.where ?? {})[0] })
  }
}
