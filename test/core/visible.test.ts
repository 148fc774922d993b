// Characters that a terminal would obey or hide are spelled out.

import { expect, it } from 'vitest'

import { describeValue, quote } from '../../lib/core/check.js'
import { visible, visibleLines } from '../../lib/core/visible.js'

const title = '\u001b]0;owned\u0007'

it.each([
  [title, '\\u001b]0;owned\\u0007'],
  ['a\nb\r\tc', 'a\\nb\\r\\tc'],
  ['\u0000\u007f\u0080\u009b2J\u009f', '\\u0000\\u007f\\u0080\\u009b2J\\u009f'],
  ['\u202etxt.exe\u2066\u2069\u061c\u200e\u200f', '\\u202etxt.exe\\u2066\\u2069\\u061c\\u200e\\u200f'],
  ['\u2028\u2029\u0085', '\\u2028\\u2029\\u0085'],
  ['\ud83d!\udc4d', '\\ud83d!\\udc4d'],
])('spells out what a terminal would obey or hide: %j', (text, expected) => {
  expect(visible(text)).toBe(expected)
})

it.each(['', 'price', 'Größe „x“', '性别', 'שלום', '👩‍👩‍👧', 'می‌خواهم', 'a b\u00a0c \\u001b'])('leaves %j as it is', (text) => {
  expect(visible(text)).toBe(text)
})

it('leaves lines lines', () => {
  expect(visibleLines('one\u001b\n\ntwo\u009b\n')).toBe('one\\u001b\n\ntwo\\u009b\n')
})

it('leaves JSON the same JSON', () => {
  const value = { [`\u009b${title}`]: ['\u202e\\\u009b', '\\n', '\ud800', '\n'] }
  expect(JSON.parse(visible(JSON.stringify(value)))).toEqual(value)
})

it('is in every quoted value of an error', () => {
  expect(quote('\u009b"\u202e')).toBe('"\\u009b\\"\\u202e"')
  expect(describeValue(['\u009b'])).toBe('["\\u009b"]')
})
