// The index of texts beside JavaScript's own map and sort.
import { describe, expect, it } from 'vitest'
import { atOnce } from '../../lib/core/slices.js'
import { TextIndex } from '../../lib/core/text-index.js'
import { anything, binding, expectCode } from './programs.js'

const pieces = [
  'a',
  'b',
  '',
  '\0',
  '\u007f',
  'é',
  '\u07ff',
  '\u0800',
  '\ud7ff',
  '\ue000',
  '\ufeff',
  '\ufffd',
  '\uffff',
  '👍',
  '\u{10ffff}',
]
const long = 'a beginning that many texts share '.repeat(12)

/** Texts of a seeded mix: empty, short, longer than the addon's buffer, with characters of every length. */
function someTexts(count: number): string[] {
  let state = 1
  const next = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % limit
  }
  return Array.from({ length: count }, () => {
    const start = [long, 'item_0000', '', ''][next(4)] ?? ''
    return start + Array.from({ length: next(5) }, () => pieces[next(pieces.length)]).join('') + next(40)
  })
}

describe('an index of texts', () => {
  const texts = someTexts(20_000)
  const distinct = [...new Set(texts)]

  it.each(['one by one', 'all at once'])('numbers distinct texts as a map does, %s', (how) => {
    const index = new TextIndex()
    const into = new Int32Array(texts.length)
    if (how === 'all at once') index.addAll(texts, into)
    else into.set(texts.map((text) => index.add(text)))
    const numbers = new Map(distinct.map((text, number) => [text, number]))
    expect([...into]).toEqual(texts.map((text) => numbers.get(text)))
    expect(index.size).toBe(distinct.length)
    expect(distinct.map((_, number) => index.keyAt(number))).toEqual(distinct)
    expect(distinct.map((text) => index.indexOf(text))).toEqual([...distinct.keys()])
    const asked = [...distinct.slice(0, 100), 'never met', `${long}!`]
    const found = new Int32Array(asked.length)
    index.indexOfAll(asked, found)
    expect([...found]).toEqual([...Array(100).keys(), -1, -1])
  })

  it('sorts by count and then as JavaScript compares, and picks in that order', () => {
    const index = new TextIndex()
    for (const text of distinct) index.add(text)
    const counts = Float64Array.from(distinct, (_, number) => 1 + (number % 3))
    const numbers = Int32Array.from(distinct.keys()).filter((number) => number % 7 !== 0)
    const want = [...numbers].sort((a, b) => {
      const [left, right] = [distinct[a] ?? '', distinct[b] ?? '']
      return (counts[b] ?? 0) - (counts[a] ?? 0) || (left < right ? -1 : left > right ? 1 : 0)
    })
    const sorted = atOnce(index.sorted(numbers, counts))
    expect([...sorted]).toEqual(want)
    const picked = atOnce(index.picked(sorted))
    expect(picked.size).toBe(want.length)
    expect(want.map((number) => picked.indexOf(distinct[number] ?? ''))).toEqual([...want.keys()])
    expect(picked.indexOf(distinct[0] ?? '')).toBe(-1)
  })

  it('writes texts as UTF-8 side by side and reads them back', () => {
    const index = new TextIndex()
    for (const text of distinct) index.add(text)
    const lengths = index.lengths(0, index.size)
    expect([...lengths]).toEqual(distinct.map((text) => Buffer.byteLength(text)))
    const bytes = index.bytes(
      0,
      index.size,
      lengths.reduce((sum, length) => sum + length, 0),
    )
    expect(Buffer.from(bytes).equals(Buffer.from(distinct.join('')))).toBe(true)
    let end = 0
    const ends = Float64Array.from(lengths, (length) => (end += length))
    const again = new TextIndex()
    expect(again.addBytes(bytes, ends)).toBe(ends.length)
    expect(distinct.map((text) => again.indexOf(text))).toEqual([...distinct.keys()])
  })

  it('holds no half of a surrogate pair, and tells it from U+FFFD', () => {
    const index = new TextIndex()
    expect(index.add('x\ufffd')).toBe(0)
    const halves = ['x\ud800', '\udc00x', 'x\ud83d\ud83d\udc4d', `${long}\udfff`]
    for (const half of halves) expect([half, index.add(half), index.indexOf(half)]).toEqual([half, -1, -1])
    const into = new Int32Array(halves.length)
    index.addAll(halves, into)
    expect([...into]).toEqual([-1, -1, -1, -1])
    expect([index.size, index.indexOf('x\ufffd'), index.add('👍')]).toEqual([1, 0, 1])
  })

  it('finds the first text that is not UTF-8', () => {
    for (const wrong of [[0x80], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
      const bytes = Uint8Array.of(0x61, 0xc3, 0xa9, ...wrong)
      expect(new TextIndex().addBytes(bytes, Float64Array.of(1, 3, bytes.length))).toBe(2)
    }
    // A character that lies across the end of a text belongs to neither.
    expect(new TextIndex().addBytes(Uint8Array.of(0x61, 0xc3, 0xa9), Float64Array.of(2, 3))).toBe(0)
  })

  it('refuses what is not a text, a number of a text or an array of its type', () => {
    const texts = binding.createTexts()
    texts.add('a')
    for (const value of [1, null, undefined, {}, Symbol('a'), ['a']]) {
      expectCode(() => texts.add(anything(value)), 'ARGUMENT', 'text')
      expectCode(() => texts.indexOf(anything(value)), 'ARGUMENT', 'text')
      expectCode(() => texts.addAll(anything([value]), new Int32Array(1)), 'ARGUMENT', 'texts[0]')
    }
    for (const number of [-1, 1, 0.5, NaN, 2 ** 40, '0']) expectCode(() => texts.at(anything(number)), 'ARGUMENT', 'number')
    expectCode(() => texts.addAll(['a'], new Int32Array(2)), 'ARGUMENT', 'into')
    expectCode(() => texts.indexOfAll(anything('a'), new Int32Array(1)), 'ARGUMENT', 'texts')
    expectCode(() => texts.addFrom(anything({}), new Int32Array(1)), 'ARGUMENT', 'other')
    expectCode(() => texts.addFrom(texts, Int32Array.of(1)), 'ARGUMENT', 'number')
    for (const ends of [[-1], [2], [1, 0], [0.5], [NaN], [Infinity]])
      expectCode(() => binding.createTexts().addBytes(new Uint8Array(1), Float64Array.from(ends)), 'ARGUMENT', 'ends[')
    expectCode(() => texts.readLengths(1, new Int32Array(1)), 'ARGUMENT', 'number')
    expectCode(() => texts.readBytes(0, 2, new Uint8Array(9)), 'ARGUMENT', 'count')
    expectCode(() => texts.readBytes(0, 1, new Uint8Array(0)), 'ARGUMENT', 'into')
    expectCode(() => texts.advanceOrder(1), 'ARGUMENT', 'beginOrder')
    expectCode(() => texts.beginOrder(Int32Array.of(1), Float64Array.of(1)), 'ARGUMENT', 'number')
    expectCode(() => texts.beginOrder(Int32Array.of(0), new Float64Array(0)), 'ARGUMENT', 'counts')
    texts.beginOrder(Int32Array.of(0, 0), Float64Array.of(NaN))
    expectCode(() => texts.advanceOrder(0), 'ARGUMENT', 'work')
    expectCode(() => texts.endOrder(new Int32Array(1)), 'ARGUMENT', 'into')
    const into = new Int32Array(2)
    texts.endOrder(into)
    expect([...into, texts.size]).toEqual([0, 0, 1])
  })
})
