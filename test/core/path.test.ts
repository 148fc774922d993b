// What names a file: text and file: URLs, and nothing else.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'

import { pathOf } from '../../lib/core/path.js'
import { refusal } from '../support/refusal.js'

const odd = join('/', 'data', 'a b#?%é.csv')

describe('pathOf', () => {
  it('takes text, URL objects and texts that are file: URLs', () => {
    expect(pathOf('path', 'file.csv')).toBe('file.csv')
    expect(pathOf('path', ' a%20b.csv')).toBe(' a%20b.csv')
    expect(pathOf('path', './file:x')).toBe('./file:x')
    expect(pathOf('path', pathToFileURL(odd))).toBe(odd)
    expect(pathOf('path', pathToFileURL(odd).href)).toBe(odd)
    expect(pathOf('path', 'FILE:///data/x.csv')).toBe('/data/x.csv')
  })

  it('takes a URL of another realm', () => {
    const { href, protocol } = pathToFileURL(odd)
    const other = runInNewContext('({ href, protocol })', { href, protocol }) as URL
    expect(pathOf('path', other)).toBe(odd)
  })

  it.each<[string, unknown, string]>([
    ['nothing', undefined, ''],
    ['null', null, 'null'],
    ['a number', 7, '7'],
    ['an object', { path: 'x' }, '{ path }'],
    ['no text', '', '""'],
    ['a text with NUL', 'a\0b', '"a\\u0000b"'],
    ['a URL of another kind', new URL('https://example.org/x.csv'), '"https://example.org/x.csv"'],
    ['a file on another host', 'file://host/x.csv', '"file://host/x.csv"'],
    ['a URL with an encoded slash', 'file:///a%2Fb', '"file:///a%2Fb"'],
  ])('refuses %s', (_, path, found) => {
    expect(() => pathOf('model.path', path as string)).toThrowError(refusal('ARGUMENT', { field: 'model.path', says: found }))
  })
})
