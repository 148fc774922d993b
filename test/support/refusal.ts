// What a test expects of an error: its code, its properties, and a few essential words of its message, such as the found value or the
// suggested name. The rest of the sentence is free.

import { expect } from 'vitest'

export interface Refused {
  readonly field?: string | undefined
  readonly file?: string
  readonly dataset?: string | undefined
  readonly column?: string | undefined
  readonly row?: number | undefined
  readonly value?: unknown
  readonly packageName?: string
  readonly cause?: unknown
  /** Parts of the message, in any order. */
  readonly says?: string | RegExp | readonly (string | RegExp)[]
}

/** An error with the code `ERR_MULTIGATE_<code>`, for `toThrow`, `toEqual` and `rejects`. */
export function refusal(code: string, { says = [], ...properties }: Refused = {}): Error {
  const parts = (typeof says === 'string' || says instanceof RegExp ? [says] : says).map((part) => `(?=[^]*${sourceOf(part)})`)
  return expect.objectContaining({
    code: `ERR_MULTIGATE_${code}`,
    ...properties,
    ...(parts.length > 0 && { message: expect.stringMatching(new RegExp(`^${parts.join('')}`)) }),
  }) as Error
}

/** Matches whole words only: `2` is not in `25`. */
function sourceOf(part: string | RegExp): string {
  if (part instanceof RegExp) return part.source
  const text = part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return `${/^\w/.test(part) ? '(?<!\\w|\\d[.,])' : ''}${text}${/\w$/.test(part) ? '(?!\\w|[.,]\\d)' : ''}`
}
