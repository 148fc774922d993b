// Which rows have a value: those whose label counts as 1 (`positive`), and those in a task's sample space (`where`).

import { z } from 'zod'

import { describeValue, invalidArgument, quote } from '../core/check.js'
import { mapInto, numberOf, rowsOf, type ScalarColumn } from '../core/columns.js'
import { frozen } from '../core/schemas.js'

/**
 * A value to compare with. Numbers compare by value, texts by their bytes; a number also equals a text that spells it. `true` and `false`
 * match columns of booleans, the numbers 1 and 0, and the texts `true` and `True`.
 */
export type Comparable = string | number | boolean

/** A condition on the values of a column: equal to this value, to one of these values, or within bounds that are both inclusive. */
export type Condition =
  | Comparable
  | readonly Comparable[]
  | { readonly min?: number | undefined; readonly max?: number | undefined }

/** Conditions by column, or by the name of another task. All must hold. */
export type Where = { readonly [column: string]: Condition }

export const comparable = z.union([z.string(), z.number(), z.boolean()])

const rangeSchema = z
  .strictObject({ min: z.number().optional(), max: z.number().optional() })
  .refine(({ min, max }) => min !== undefined || max !== undefined, { error: 'expected min or max, found neither' })
  .refine(({ min = -Infinity, max = Infinity }) => min <= max, { error: 'expected min <= max, which some value can meet' })
  .readonly()

const conditions = z
  .record(z.string(), z.union([comparable, frozen(z.array(comparable).min(1)), rangeSchema]))
  .refine((where) => Object.keys(where).length > 0, { error: 'expected a condition on at least one column, found none' })
  .readonly()

/** `z.record` would leave such a key out without a word. */
const hasPrototype = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.hasOwn(value, '__proto__')

export const whereSchema = z
  .custom<z.input<typeof conditions>>((value) => !hasPrototype(value), {
    error: 'expected names of columns, found __proto__; give the column another name',
  })
  .pipe(conditions)

/** 1 for a row whose value meets the condition, 0 for one whose value does not, NaN for a missing value. */
export function meets(condition: Condition, column: ScalarColumn): Float32Array {
  if (typeof condition !== 'object') return matches([condition], column)
  if (isList(condition)) return matches(condition, column)
  const { min = -Infinity, max = Infinity } = condition
  const within = (value: number): number => (value >= min && value <= max ? 1 : 0)
  const rows = new Float32Array(rowsOf(column))
  if (column.kind === 'number') return mapInto(rows, column.values, (value) => (Number.isNaN(value) ? NaN : within(value)))
  const ofText = column.dictionary.map((text) => within(numberOf(text) ?? NaN))
  return mapInto(rows, column.codes, (code) => (code < 0 ? NaN : (ofText[code] ?? NaN)))
}

/** Whether a number in [low, high] meets the condition. */
export function meetsWithin(condition: Condition, low: number, high: number): boolean {
  if (typeof condition === 'object' && !isList(condition)) {
    const { min = -Infinity, max = Infinity } = condition
    return min <= high && max >= low
  }
  const values = typeof condition === 'object' ? condition : [condition]
  return values.some((value) => {
    const number = numberOfValue(value, true)
    return number !== undefined && number >= low && number <= high
  })
}

/** A condition as an error shows it: `"click" is 1`. */
export function describeCondition(column: string, condition: Condition): string {
  if (typeof condition !== 'object') return `${quote(column)} is ${describeValue(condition)}`
  if (isList(condition)) return `${quote(column)} is one of ${describeValue(condition)}`
  const { min, max } = condition
  const bounds = [min === undefined ? [] : `>= ${min}`, max === undefined ? [] : `<= ${max}`].flat()
  return `${quote(column)} is ${bounds.join(' and ')}`
}

/** All conditions of a task as an error shows them. */
export function describeWhere(where: Where): string {
  return Object.entries(where)
    .map(([column, condition]) => describeCondition(column, condition))
    .join(' and ')
}

/** What conditions need to know of a task. */
interface Conditional {
  readonly name: string
  readonly where?: Where | undefined
  /** Whether the label, as conditions see it, can meet the condition. */
  canMeet(condition: Condition): boolean
}

/**
 * Checks conditions that name other tasks.
 * @throws ERR_MULTIGATE_ARGUMENT for a task that depends on itself, and for a condition that no label of the other task can meet.
 */
export function checkConditions(field: string, tasks: readonly Conditional[]): void {
  const byName = new Map(tasks.map((task) => [task.name, task]))
  for (const [index, { name, where = {} }] of tasks.entries()) {
    for (const [key, condition] of Object.entries(where)) {
      const path = `${field}[${index}].where.${key}`
      const way = wayBetween(key, name, byName, new Set())
      if (way !== undefined) {
        const next = key === name ? 'name another task or column' : 'remove one of these conditions'
        throw invalidArgument(path, `conditions that do not lead back to ${quote(name)}`, [name, ...way], next)
      }
      if (byName.get(key)?.canMeet(condition) === false)
        throw invalidArgument(path, `a condition that a label of task ${quote(key)} can meet`, condition)
    }
  }
}

/** The tasks from one to another along their conditions, if there is such a way. */
function wayBetween(
  from: string,
  to: string,
  tasks: ReadonlyMap<string, Conditional>,
  seen: Set<string>,
): readonly string[] | undefined {
  if (from === to) return [from]
  seen.add(from)
  for (const next of Object.keys(tasks.get(from)?.where ?? {})) {
    const way = seen.has(next) ? undefined : wayBetween(next, to, tasks, seen)
    if (way !== undefined) return [from, ...way]
  }
  return undefined
}

function matches(values: readonly Comparable[], column: ScalarColumn): Float32Array {
  const rows = new Float32Array(rowsOf(column))
  if (column.kind === 'number') {
    const wanted = values.map((value) => numberOfValue(value, column.type === 'boolean'))
    return mapInto(rows, column.values, (value) => (Number.isNaN(value) ? NaN : wanted.includes(value) ? 1 : 0))
  }
  const ofText = column.dictionary.map((text) => (values.some((value) => isText(text, value)) ? 1 : 0))
  return mapInto(rows, column.codes, (code) => (code < 0 ? NaN : (ofText[code] ?? NaN)))
}

function numberOfValue(value: Comparable, ofBooleans: boolean): number | undefined {
  if (typeof value !== 'string') return Number(value)
  const word = ofBooleans ? ['false', 'true'].indexOf(value.toLowerCase()) : -1
  return word < 0 ? numberOf(value) : word
}

function isText(text: string, value: Comparable): boolean {
  if (typeof value === 'string') return text === value
  return typeof value === 'number' ? numberOf(text) === value : text.toLowerCase() === String(value)
}

function isList(condition: object): condition is readonly Comparable[] {
  return Array.isArray(condition)
}
