// What a splitter warns about: brackets, a separator that never occurs, and padding.

import { afterEach, describe, expect, it, vi } from 'vitest'

import { Splitter } from '../../lib/features/encode/splitter.js'

const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
afterEach(() => emit.mockClear())

/** The warnings about these texts, each a row of its own. */
function warnings(texts: readonly string[], { padding }: { readonly padding?: string } = {}): string[] {
  const splitter = new Splitter(',', { trim: true, padding })
  splitter.split({ kind: 'string', dictionary: texts, codes: Int32Array.from(texts, (_, row) => row) })
  splitter.warn('clicks', { zeroIsPadding: padding === '0' })
  for (const [, options] of emit.mock.calls) expect(options).toEqual({ code: 'MULTIGATE_SEQUENCE_TEXT' })
  return emit.mock.calls.map(([text]) => String(text))
}

describe('a sequence of texts', () => {
  it.each([
    ['brackets', ['[8, 9]', '[1, 2]'], ['"clicks"', 'bracket', '"[8, 9]" was read as']],
    ['a separator that never occurs', ['1; 2', '3; 4'], ['"clicks"', 'separator ","', '"1; 2" was read as']],
    ['words of padding', ['7,<pad>', '7,8'], ['"clicks"', "padding: '...'", '"7,<pad>" was read as']],
    ['lists that end with 0', ['7,8,0', '7,0,0'], ['"clicks"', "padding: '0'", '"7,8,0" was read as the items "7", "8", "0"']],
  ])('warns of %s, and shows how it was read', (_, texts, words) => {
    const [warning, ...more] = warnings(texts)
    expect(more).toEqual([])
    for (const word of words) expect(warning).toContain(word)
  })

  it.each([
    ['lists', ['1,2', '3'], {}],
    ['one item each in one text', ['7'], {}],
    ['zeros that are padding', ['7,8,0', '7,0,0'], { padding: '0' }],
    ['blanks around items', ['1, 2', ' 3 ,4'], {}],
  ])('says nothing of %s', (_, texts, options) => {
    expect(warnings(texts, options)).toEqual([])
  })
})
