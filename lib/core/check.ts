// Checks of options and arguments. Every message has one form: `field: expected this, found that; next step`. DataError covers
// data; the addon covers memory safety.

import { isNativeError } from 'node:util/types'

import type { z } from 'zod'

import type { ErrorCode } from '../native/error.js'
import { lengthOf, typedArrayName } from './arrays.js'
import { nearest } from './did-you-mean.js'
import { ArgumentError, DataError, type DataPlace, MultigateError } from './errors.js'
import { longestList } from './limits.js'
import { visible } from './visible.js'

/** An error for a bad argument: `field: expected <expected>, found <found>`. `next` says what to do if that is not obvious. */
export function invalidArgument(field: string, expected: string, found: unknown, next?: string): ArgumentError {
  return new ArgumentError(`${field}: expected ${expected}, found ${describeValue(found)}${next ? `; ${next}` : ''}`, { field })
}

/** An error for a bad argument with a message of its own form: `field: problem`. */
export function wrongArgument(field: string, problem: string): ArgumentError {
  return new ArgumentError(`${field}: ${problem}`, { field })
}

/**
 * The result of `read`. Reading a caller's value runs the caller's code: getters, proxies, iterators.
 * @throws `unreadable` of anything that `read` throws.
 */
export function guarded<Result>(what: string, place: DataPlace | undefined, read: () => Result): Result {
  try {
    return read()
  } catch (cause) {
    throw unreadable(what, place, cause)
  }
}

/**
 * An error of ours unchanged. Any other becomes a DataError, or without a `place` an ArgumentError about `what`, with the thrown value as
 * its cause.
 */
export function unreadable(what: string, place: DataPlace | undefined, cause: unknown): Error {
  if (cause instanceof MultigateError) return cause
  const message = `${what}: expected readable values, found an error on reading them: ${messageOf(cause)}`
  return place === undefined ? new ArgumentError(message, { field: what, cause }) : new DataError(message, { ...place, cause })
}

function messageOf(cause: unknown): string {
  try {
    return isNativeError(cause) ? String(cause.message) : describeValue(cause)
  } catch {
    return 'something that cannot be read either'
  }
}

/** An error with a code and a complete message. */
export function checkFailed(code: ErrorCode, message: string): MultigateError {
  return code === 'ERR_MULTIGATE_ARGUMENT' ? new ArgumentError(message) : new MultigateError(code, message)
}

/** @throws ERR_MULTIGATE_ARGUMENT unless `value` is an integer within the bounds, both inclusive. */
export function checkInteger(
  field: string,
  value: unknown,
  { min = -Infinity, max = Infinity }: { readonly min?: number; readonly max?: number } = {},
): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw invalidArgument(field, `an integer${bounds(min, max)}`, value)
}

/** A plain copy; holes become `undefined`. @throws ERR_MULTIGATE_ARGUMENT unless `value` is an array that is not too long. */
export function checkList<T>(field: string, value: readonly T[], of: string): readonly T[] {
  return guarded(field, undefined, () => {
    if (!Array.isArray(value)) throw invalidArgument(field, `a list of ${of}`, value)
    const { length } = value
    if (length > longestList)
      throw new ArgumentError(`${field}: expected a list of at most ${longestList} ${of}, found ${length}`, { field })
    // By index: a list without a prototype has no methods.
    return Array.from({ length }, (_, index) => value[index] as T)
  })
}

/** @throws ERR_MULTIGATE_ARGUMENT unless `value` is an object that is not a list or a typed array. */
export function checkObject<T extends object>(field: string, value: T, what: string): T {
  const isList = guarded(field, undefined, () => Array.isArray(value) || ArrayBuffer.isView(value))
  if (typeof value === 'object' && value !== null && !isList) return value
  throw invalidArgument(field, what, value)
}

/** @throws ERR_MULTIGATE_ARGUMENT unless `path` is a string that is not empty. */
export function checkPath(field: string, path: string): string {
  if (typeof path === 'string' && path !== '') return path
  throw invalidArgument(field, 'the path of a file', path)
}

/** How errors refer to a feature or task. The name may be invalid; the error then leaves it out. */
export function called(what: string, name: unknown): string {
  return typeof name === 'string' ? `${what} ${quote(name)}` : what
}

/** @throws ERR_MULTIGATE_ARGUMENT unless `value` is one of `values`. */
export function checkOneOf<const T extends string>(field: string, value: unknown, values: readonly T[]): T {
  const found = values.find((candidate) => candidate === value)
  if (found !== undefined) return found
  throw invalidArgument(field, `one of ${values.map((candidate) => `'${candidate}'`).join(', ')}`, value)
}

/** A plain copy, so that every option is read once. @throws ERR_MULTIGATE_ARGUMENT unless it is an object with only these keys. */
export function checkKeys<Options extends object>(
  what: string,
  options: Options,
  known: readonly (string & keyof Options)[],
): Options {
  return guarded(what, undefined, () => {
    if (typeof options !== 'object' || options === null) throw invalidArgument(what, 'an object of options', options)
    const other = Object.keys(options).find((key) => !(known as readonly string[]).includes(key))
    if (other === undefined) return Object.fromEntries(known.map((key) => [key, options[key]])) as Options
    const { field, message } = unknownKey(`${what}.${other}`, other, known)
    throw new ArgumentError(message, { field })
  })
}

/**
 * Checks options against a schema and returns them with defaults filled in.
 * @param fixed options that the caller does not choose.
 * @throws ERR_MULTIGATE_ARGUMENT that names the path of every wrong field below `what`: `model.tasks[0].weight`.
 */
export function parseOptions<T>(
  what: string,
  schema: z.ZodType<T, unknown> | z.ZodType<T, never>,
  options: unknown,
  fixed?: object,
): T {
  return guarded(what, undefined, () => {
    if (fixed !== undefined && (typeof options !== 'object' || options === null))
      throw invalidArgument(what, 'an object of options', options)
    const given = fixed === undefined ? options : { ...(options as object), ...fixed }
    const result = schema.safeParse(given as never)
    if (result.success) return result.data
    const problems = describeIssues(what, result.error.issues, given, knownKeys(schema))
    throw new ArgumentError(problems.map(({ message }) => message).join('\n'), { field: problems[0]?.field })
  })
}

/** One wrong field. */
export interface Problem {
  readonly field: string
  readonly message: string
}

/** Zod's issues in our form. `options` is the checked value. `known` lists its top-level keys, for suggestions. */
export function describeIssues(
  what: string,
  issues: readonly z.core.$ZodIssue[],
  options: unknown,
  known: readonly string[] = [],
): Problem[] {
  return issues.flatMap((issue) => {
    const leaf = deepest(issue)
    const { path } = leaf
    if (leaf.code === 'unrecognized_keys') {
      return leaf.keys.map((key) => unknownKey(pathOf(what, [...path, key]), key, path.length === 0 ? known : []))
    }
    const field = pathOf(what, path)
    // The message of a refinement is complete.
    if (leaf.code === 'custom') return { field, message: `${field}: ${leaf.message}` }
    return { field, message: invalidArgument(field, expectationOf(leaf), valueAt(options, path)).message }
  })
}

/** A value as an error shows it: short, with strings in quotes so that spaces are visible. Never throws. */
export function describeValue(value: unknown): string {
  try {
    return described(value)
  } catch {
    return 'an object that cannot be read'
  }
}

function described(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  const typed = typedArrayName(value)
  if (typed !== undefined) return `${typed}(${lengthOf(value as ArrayBufferView)})`
  if (ArrayBuffer.isView(value)) return `DataView(${value.byteLength})`
  if (Array.isArray(value))
    return value.length > 8 ? sizeOf(value) : `[${Array.from(value as ArrayLike<unknown>, describeItem).join(', ')}]`
  // The prototype of a generator has a constructor without a name.
  const name = (Object.getPrototypeOf(value) as object | null)?.constructor?.name || tagOf(value)
  return name === 'Object' ? `{ ${Object.keys(value).slice(0, 8).join(', ')} }` : `a ${name}`
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}

/** An array inside another is shown by its length only: it may contain itself. */
function describeItem(item: unknown): string {
  return Array.isArray(item) ? sizeOf(item) : describeValue(item)
}

function sizeOf(array: readonly unknown[]): string {
  return `an array of ${array.length}`
}

/** A text in quotes. Long texts are cut, and control characters are escaped. */
export function quote(text: string): string {
  return visible(JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text))
}

type Leaf = z.core.$ZodIssue

/** The deepest issue inside a union. It belongs to the form that the user most likely meant. */
function deepest(issue: Leaf): Leaf {
  if (issue.code !== 'invalid_union') return issue
  const inner = issue.errors.map((branch) => branch.map(deepest)).filter((branch) => branch.length > 0)
  const best = inner.map((branch) => branch[0] as Leaf).sort((a, b) => b.path.length - a.path.length)[0]
  if (best === undefined || best.path.length === 0) return issue
  return { ...best, path: [...issue.path, ...best.path] }
}

function expectationOf(issue: Leaf): string {
  switch (issue.code) {
    case 'invalid_type':
      return typeNames[issue.expected] ?? issue.expected
    case 'invalid_value':
      return issue.values.length === 1 ? describeValue(issue.values[0]) : `one of ${issue.values.map(describeValue).join(', ')}`
    case 'too_small':
      return sized(issue.origin, issue.inclusive === false ? '>' : '>=', issue.minimum)
    case 'too_big':
      return sized(issue.origin, issue.inclusive === false ? '<' : '<=', issue.maximum)
    case 'invalid_union': {
      const forms = issue.errors.flatMap((branch) => branch.slice(0, 1)).map((branch) => expectationOf(deepest(branch)))
      return [...new Set(forms)].join(' or ') || 'a value of a known form'
    }
    default:
      return issue.message
  }
}

const typeNames: Readonly<Record<string, string>> = {
  int: 'an integer',
  number: 'a number',
  string: 'a string',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object of values by name',
}

function sized(origin: string, sign: string, limit: number | bigint): string {
  if (origin === 'number' || origin === 'int') return `a number ${sign} ${limit}`
  if (origin === 'string') return `a string of length ${sign} ${limit}`
  return `an array of length ${sign} ${limit}`
}

function unknownKey(field: string, key: string, known: readonly string[]): Problem {
  const hint =
    known.length === 0
      ? ''
      : `; did you mean ${nearest(key, known, 3)
          .map((name) => `'${name}'`)
          .join(' or ')}?`
  return { field, message: `${field}: unknown option${hint}` }
}

function knownKeys(schema: unknown): readonly string[] {
  const { shape, in: checked } = schema as { readonly shape?: unknown; readonly in?: unknown }
  // A schema with a transform: the checked schema is inside.
  if (checked !== undefined) return knownKeys(checked)
  return typeof shape === 'object' && shape !== null ? Object.keys(shape) : []
}

function pathOf(what: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}.${String(key)}`), what)
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner === null || inner === undefined ? undefined : Reflect.get(Object(inner), key)),
    value,
  )
}

function bounds(min: number, max: number): string {
  if (min > -Infinity && max < Infinity) return ` in [${min}, ${max}]`
  if (min > -Infinity) return ` >= ${min}`
  return max < Infinity ? ` <= ${max}` : ''
}
