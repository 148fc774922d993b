// Every error that multigate throws on purpose, as classes over one base: `code` for programs, the message for people.
// The base lives in lib/native, which stands alone. A message names the field, the value found, the value expected and
// what to do next; what a program may want to read is a property too.

import { isNativeError } from 'node:util/types'

import { MultigateError } from '../native/error.js'

export { MultigateError }

/** An option or argument is wrong. `field` is its path, such as `tasks[0].weight`. */
export class ArgumentError extends MultigateError {
  readonly field: string | undefined

  constructor(message: string, { field, ...options }: ErrorOptions & { readonly field?: string | undefined } = {}) {
    super('ERR_MULTIGATE_ARGUMENT', message, options)
    this.field = field
  }
}

/** Where in the data something is wrong. Rows count from 0, the header line not counted; of a part of some data within that part. */
export interface DataPlace {
  /** In `fit`, which takes two: `'training'` or `'validation'`. */
  readonly dataset?: string | undefined
  readonly file?: string | undefined
  readonly row?: number | undefined
  readonly column?: string | undefined
  readonly value?: unknown
}

/** The data are wrong: a value out of range, a column that is not there, a file that does not parse. */
export class DataError extends MultigateError implements DataPlace {
  readonly dataset: string | undefined
  readonly file: string | undefined
  readonly row: number | undefined
  readonly column: string | undefined
  readonly value: unknown

  constructor(message: string, { dataset, file, row, column, value, ...options }: ErrorOptions & DataPlace = {}) {
    super('ERR_MULTIGATE_DATA', message, options)
    this.dataset = dataset
    this.file = file
    this.row = row
    this.column = column
    this.value = value
  }
}

/** A saved file is not what it says it is: cut short, damaged, or of another format or version. */
export class FormatError extends MultigateError {
  readonly file: string | undefined
  readonly field: string | undefined

  constructor(
    message: string,
    { file, field, ...options }: ErrorOptions & { readonly file?: string | undefined; readonly field?: string | undefined } = {},
  ) {
    super('ERR_MULTIGATE_FORMAT', message, options)
    this.file = file
    this.field = field
  }
}

/** A file cannot be written; `cause` is the system's error where it gave one. What stood there before is as it was. */
export class WriteError extends MultigateError {
  readonly file: string

  constructor(file: string, what: string, options?: ErrorOptions) {
    super('ERR_MULTIGATE_WRITE', `${file}: cannot write it: ${what}`, options)
    this.file = file
  }
}

/** The model has no parameters yet: `fit` or `build` must come first. */
export class NotBuiltError extends MultigateError {
  constructor(what: string) {
    super(
      'ERR_MULTIGATE_NOT_BUILT',
      `${what} needs a built model: call \`await model.fit(train)\` or \`await model.build(train)\` first`,
    )
  }
}

/** The model is in use by a call that does not share it. */
export class BusyError extends MultigateError {
  constructor(what: string, busyWith: string) {
    super('ERR_MULTIGATE_BUSY', `${what} cannot run while ${busyWith} runs: await that first`)
  }
}

/** The model, batch or tensor was disposed. */
export class DisposedError extends MultigateError {
  constructor(what: string) {
    super('ERR_MULTIGATE_DISPOSED', `${what} was disposed: make or load a new one`)
  }
}

/** An optional package that this call needs is not installed, or does not load; `cause` is what its import threw. */
export class MissingPackageError extends MultigateError {
  /** The package's name in the registry. */
  readonly packageName: string

  constructor(packageName: string, neededFor: string, options?: ErrorOptions) {
    const next = isNotFound(packageName, options?.cause)
      ? `run \`npm install ${packageName}\``
      : `it is there and does not load on ${process.platform}-${process.arch}: ${firstLine(options?.cause)}; delete node_modules and install again on this machine, with optional packages (\`npm install --include=optional\`)`
    super('ERR_MULTIGATE_MISSING_PACKAGE', `${neededFor} needs the package ${packageName}: ${next}`, options)
    this.packageName = packageName
  }
}

/** Of the package itself; what it imports in turn, such as its binary, may not be found either. */
function isNotFound(packageName: string, cause: unknown): boolean {
  const { code } = (cause ?? {}) as { readonly code?: unknown }
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return cause === undefined
  return firstLine(cause)
    .split(/[\s'",;]+/)
    .includes(packageName)
}

function firstLine(cause: unknown): string {
  return messageOf(cause).split('\n', 1)[0] ?? ''
}

/** What was thrown, in words: the message of an error, which may be of another realm. */
export function messageOf(cause: unknown): string {
  return isNativeError(cause) ? cause.message : String(cause)
}

/** The caller's `AbortSignal` was aborted; `cause` is its reason. */
export class AbortedError extends MultigateError {
  constructor(what: string, reason?: unknown) {
    super('ERR_MULTIGATE_ABORTED', `${what} was aborted by its signal`, reason === undefined ? undefined : { cause: reason })
  }
}
