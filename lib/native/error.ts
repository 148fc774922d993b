// The base of every error that multigate throws on purpose.

export type ErrorCode = `ERR_MULTIGATE_${string}`

/** An error with a stable `code`. Its message says what was expected, what was found and what to do next. */
export class MultigateError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}
