// Every error that multigate throws on purpose: classes over one base, with a `code` for programs and a message for people.
// The base is in lib/native, which imports nothing. A message names the field, the value expected, the value found and the next
// step. What a program may want to read is also a property.

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

/** Where in the data something is wrong. Rows count from 0, without the header line; for a part of a dataset, within that part. */
export interface DataPlace {
  /** Set by `fit`, which takes two datasets: `'training'` or `'validation'`. */
  readonly dataset?: string | undefined
  readonly file?: string | undefined
  readonly row?: number | undefined
  readonly column?: string | undefined
  readonly value?: unknown
}

/** The data are wrong: a value out of range, a missing column, a file that does not parse. */
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

/** A saved file is cut short, damaged, or has another format or version. */
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

/** A file cannot be written. `cause` is the system's error, if any. The old file is unchanged, unless the message says otherwise. */
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

/** Another call is using the model and does not share it. */
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

/** An optional package that this call needs is not installed or does not load. `cause` is what its import threw. */
export class MissingPackageError extends MultigateError {
  /** The package's name in the registry. */
  readonly packageName: string

  constructor(packageName: string, neededFor: string, options?: ErrorOptions) {
    const next = isNotFound(packageName, options?.cause)
      ? `run \`npm install ${packageName}\``
      : `it is installed but does not load on ${process.platform}-${process.arch}: ${firstLine(options?.cause)}; delete node_modules and install again on this machine, with optional packages (\`npm install --include=optional\`)`
    super('ERR_MULTIGATE_MISSING_PACKAGE', `${neededFor} needs the package ${packageName}: ${next}`, options)
    this.packageName = packageName
  }
}

/** Whether the package itself was not found. An import inside the package, such as its binary, can fail with the same code. */
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

/** What was thrown, as text. The error may come from another realm. */
export function messageOf(cause: unknown): string {
  return isNativeError(cause) ? cause.message : String(cause)
}

/** The caller's `AbortSignal` was aborted; `cause` is its reason. */
export class AbortedError extends MultigateError {
  constructor(what: string, reason?: unknown) {
    super('ERR_MULTIGATE_ABORTED', `${what} was aborted by its signal`, reason === undefined ? undefined : { cause: reason })
  }
}
