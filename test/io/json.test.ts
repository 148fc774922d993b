// JSON as JSON.parse takes it, without keys twice and without nesting that has no end.

import { expect, it } from 'vitest'

import { atOnce } from '../../lib/core/slices.js'
import { JsonError, parseJson } from '../../lib/io/json.js'
import { randomOf } from '../../lib/verify/numbers.js'

const parse = (text: string): unknown => atOnce(parseJson(text))

/** What comes of a text: its value as text, or nothing. */
function outcome(read: (text: string) => unknown, text: string): string | undefined {
  try {
    // -0 is not told apart.
    return JSON.stringify(read(text))
  } catch (error) {
    if (!(error instanceof JsonError || error instanceof SyntaxError)) throw error
    return undefined
  }
}

const texts = [
  '',
  ' ',
  'null',
  ' [ ] ',
  '{ }',
  '[[],{},[{}]]',
  '{"a":1,"b":[true,false,null],"c":{"d":"e"}}',
  '[0,-0,1.5,-1e-7,1E+300,1e999,0.1]',
  '"\\u00e9\\n\\"\\\\"',
  '["\\\\","\\\\\\"","é👍"]',
  '{"__proto__":{"x":1}}',
  '[1,]',
  '{,}',
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{a:1}',
  '[1 2]',
  '[1}',
  '{"a":1]',
  ']',
  '01',
  '+1',
  '1.',
  '.5',
  '1e',
  'nul',
  'nulll',
  'NaN',
  '"a',
  '"a\\"',
  '"\\x"',
  '"\u0001"',
  '1 1',
  '[1]]',
  '\ufeff1',
  '\u00a01',
]

it.each(texts)('takes or refuses %j as JSON.parse does', (text) => {
  expect(outcome(parse, text)).toBe(outcome(JSON.parse, text))
})

it('does the same to changed texts', () => {
  const random = randomOf(5)
  const alphabet = '{}[],:"\\ 019.-+eEtrufalsn\n\té'
  const source = '{"a": [1, -2.5e3, true, null, "x\\"\\u00e9\\\\"], "bc": {"d": [], "e": {}}, "f": false}'
  let taken = 0
  for (let round = 0; round < 20_000; round += 1) {
    const chars = [...source]
    for (let change = 0; change < 1 + (round % 3); change += 1) {
      const at = Math.floor(random() * chars.length)
      chars.splice(at, Math.floor(random() * 2), alphabet[Math.floor(random() * alphabet.length)] ?? '')
    }
    const text = chars.join('')
    const found = outcome(parse, text)
    // A key that comes twice is the one thing that JSON.parse takes.
    const twice = /"(\w*)".*"\1"\s*:/.test(text)
    if (found !== undefined || !twice) expect(found, text).toBe(outcome(JSON.parse, text))
    if (found !== undefined) taken += 1
  }
  expect(taken).toBeGreaterThan(1000)
})

it('keeps the prototype of what it makes', () => {
  const value = parse('{"__proto__":{"x":1}}') as { x?: number }
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  expect([value.x, Object.keys(value)]).toEqual([undefined, ['__proto__']])
})

it.each(['{"a":1,"a":1}', '[{"x":{"b":1,"\\u0062":2}}]', '{"__proto__":1,"__proto__":2}'])('refuses a key twice: %s', (text) => {
  expect(() => parse(text)).toThrow(/"(a|b|__proto__)" twice/)
})

it('refuses nesting without end, before it has gone there', () => {
  const deep = '['.repeat(64) + ']'.repeat(64)
  expect(parse(deep)).toEqual(JSON.parse(deep))
  for (const open of ['[', '{"a":']) expect(() => parse(open.repeat(5_000_000))).toThrow(/at most 64 nested levels/)
})

it('gives way in a long text', () => {
  const work = parseJson(JSON.stringify(Array.from({ length: 10_000 }, (_, index) => `value ${index}`)))
  let slices = 0
  while (work.next().done !== true) slices += 1
  expect(slices).toBe(9)
})
