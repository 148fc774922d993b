// Datasets from CSV files: forms, encodings, ends of lines, and what is refused.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'

import { rowValue } from '../../lib/core/columns.js'
import { countLines } from '../../lib/data/csv-bytes.js'
import type { CsvOptions } from '../../lib/data/csv-options.js'
import { Dataset } from '../../lib/data/dataset.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-csv-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
function file(content: string | Uint8Array, suffix = '.csv'): string {
  const path = join(folder, `${(files += 1)}${suffix}`)
  writeFileSync(path, content)
  return path
}

const read = (content: string | Uint8Array, options: CsvOptions = {}, suffix = '.csv'): Promise<Dataset> =>
  Dataset.fromCsv(file(content, suffix), options)

const values = (data: Dataset, name: string): unknown[] =>
  Array.from({ length: data.rows }, (_, row) => rowValue(data.column(name), row))

describe('what is read', () => {
  it('keeps text byte for byte and types numbers', async () => {
    const data = await read('a,b,c,d\n1, Private, 0,x \n2.5, ?,,""\n-3e+2,"q,""q""", 7,é\n')
    expect(data.columnNames).toEqual(['a', 'b', 'c', 'd'])
    expect(values(data, 'a')).toEqual([1, 2.5, -300])
    expect(values(data, 'b')).toEqual([' Private', ' ?', 'q,"q"'])
    expect(values(data, 'c')).toEqual([0, null, 7])
    expect(values(data, 'd')).toEqual(['x ', null, 'é'])
  })

  it('looks at the whole file before it calls a column numbers', async () => {
    const lines = Array.from({ length: 30_000 }, (_, row) => `${row},${row === 29_999 ? ' ?' : row}`)
    const data = await read(`n,t\n${lines.join('\n')}\n`)
    expect(data.column('n').kind).toBe('number')
    expect(data.column('t').kind).toBe('string')
    expect(rowValue(data.column('t'), 29_998)).toBe('29998')
    expect(values(data, 'n')).toEqual(lines.map((_, row) => row))
  })

  it('streams parts that together are the whole, kinds and all', async () => {
    const lines = Array.from({ length: 2500 }, (_, row) => `${row},${row < 2000 ? row : 'x'},${['a', 'b', 'c'][row % 3]}`)
    const path = file(`n,t,c\n${lines.join('\n')}\n`, '.csv')
    const whole = await Dataset.fromCsv(path)
    const parts: Dataset[] = []
    for await (const part of Dataset.streamCsv(path, { chunkRows: 1000 })) parts.push(part)
    expect(parts.map(({ rows }) => rows)).toEqual([1000, 1000, 500])
    for (const name of ['n', 't', 'c']) {
      expect(parts.every((part) => part.column(name).kind === whole.column(name).kind)).toBe(true)
      expect(parts.flatMap((part) => values(part, name))).toEqual(values(whole, name))
    }
    expect(parts.map((part) => part.sourceRow(3))).toEqual([3, 1003, 2003])
    // A reader that has had enough closes the file.
    for await (const part of Dataset.streamCsv(path, { chunkRows: 1000 })) {
      expect(part.rows).toBe(1000)
      break
    }
    const empty = file('n,t\n', '.csv')
    for await (const part of Dataset.streamCsv(empty)) expect(part.rows).toBe(0)
    await expect(Dataset.streamCsv(path, { chunkRows: 0 })[Symbol.asyncIterator]().next()).rejects.toThrow(
      refusal('ARGUMENT', { field: 'chunkRows' }),
    )
  })

  it('keeps integers that no float64 tells apart as text', async () => {
    const data = await read('id,n\n9007199254740993,9007199254740991\n9007199254740992,1\n')
    expect(values(data, 'id')).toEqual(['9007199254740993', '9007199254740992'])
    expect(values(data, 'n')).toEqual([9007199254740991, 1])
  })

  it.each<[string, string, CsvOptions, string, unknown[]]>([
    ['CRLF', 'a,b\r\n1,x\r\n2,y\r\n', {}, 'b', ['x', 'y']],
    ['no last line end', 'a,b\n1,x\n2,y', {}, 'b', ['x', 'y']],
    ['a byte order mark', '\ufeffa,b\n1,x\n', {}, 'a', [1]],
    ['a delimiter', 'a|b\n1|x,y\n', { delimiter: '|' }, 'b', ['x,y']],
    ['trim', 'a, b\n1,\t x \n2, \n', { trim: true }, 'b', ['x', null]],
    ['null values', 'a\n1\nNA\n-\n', { nullValues: ['NA', '-'] }, 'a', [1, null, null]],
    ['nan of other programs', 'a,b\n1,x\nNaN,y\n', {}, 'a', [1, null]],
    ['a kind that is asked for', 'zip,b\n0123,x\n4,y\n', { types: { zip: 'string' } }, 'zip', ['0123', '4']],
    ['an empty column', 'a,b\n,x\n,y\n', {}, 'a', [null, null]],
    ['a quoted name', '"a ""x"", y",b\n1,x\n', {}, 'a "x", y', [1]],
    ['a header alone', 'a,b\n', {}, 'a', []],
    ['dates, which are text', 'a,b\n2024-1-2,x\n', {}, 'a', ['2024-1-2']],
    ['hash signs', '#a,b\n#1,x\n', {}, '#a', ['#1']],
  ])('%s', async (_, content, options, name, want) => {
    expect(values(await read(content, options), name)).toEqual(want)
  })

  it('reads gzip and tabs by their suffix, and names that are patterns', async () => {
    expect(values(await read(gzipSync('a,b\n1,x\n'), {}, '.csv.gz'), 'b')).toEqual(['x'])
    expect(values(await read('a\tb\n1\tx,\n', {}, '.tsv'), 'b')).toEqual(['x,'])
    expect(values(await read('a,b\n1,x\n', {}, '[1]*.csv'), 'b')).toEqual(['x'])
  })
})

it('reads the columns that are named alone, in the order of the file', async () => {
  const data = await read('a,b,c,d\n1,x,3,4\n2,y,z,5\n', { columns: ['d', 'b'], types: { a: 'string', d: 'string' } })
  expect(data.columnNames).toEqual(['b', 'd'])
  expect([data.column('b').kind, data.column('d')]).toMatchObject(['string', { kind: 'string', dictionary: ['4', '5'] }])
})

it('lines are counted wherever they end, four bytes at a time', async () => {
  const random = randomOf(8)
  const others = [9, 11, 12, 14, 65, 138, 141, 255]
  for (let round = 0; round < 60; round += 1) {
    const bytes = Buffer.from(
      Array.from({ length: round * 7 }, () => {
        const end = random()
        return end < 0.1 ? 10 : end < 0.2 ? 13 : (others[Math.floor(random() * others.length)] ?? 0)
      }),
    )
    const lines = bytes.toString('latin1').split(/\r\n|\n|\r/)
    const last = lines.pop() ?? ''
    const kinds = new Set(bytes.toString('latin1').match(/\r\n|\n|\r/g))
    expect(await countLines({ path: file(bytes) })).toEqual({
      count: lines.length + (last === '' ? 0 : 1),
      blank: lines.filter((line) => line === '').length,
      mixed: kinds.size > 1,
      longest: Math.max(0, last.length, ...lines.map(({ length }) => length)),
    })
  }
})

it('texts of many columns and rows, with missing values and with many distinct ones', async () => {
  const rows = 80_000
  const cell = (row: number, column: number): string =>
    column === 7 ? `t${(row * 31) % rows}` : (row + column) % 11 === 0 ? '' : `v${(row * column) % 97}`
  const lines = Array.from({ length: rows }, (_, row) => Array.from({ length: 19 }, (_, column) => cell(row, column)).join(','))
  const data = await read([Array.from({ length: 19 }, (_, column) => `c${column}`).join(','), ...lines].join('\n'))
  for (let column = 0; column < 19; column += 1) {
    const found = data.column(`c${column}`)
    if (found.kind !== 'string') throw new Error('expected texts')
    expect([...found.dictionary]).toEqual([...found.dictionary].sort())
    const wrong = found.codes.findIndex((code, row) => (found.dictionary[code] ?? '') !== cell(row, column))
    expect(wrong).toBe(-1)
  }
})

describe('a carriage return on its own', () => {
  it.each<[string, string, CsvOptions, unknown[]]>([
    ['ends every line', 'a,b\r1,2\r3,4\r', {}, [2, 4]],
    ['ends every line but the last', 'a,b\r1,2\r3,4', {}, [2, 4]],
    ['ends some lines', 'a,b\r1,2\r3,4\n', {}, [2, 4]],
    ['ends the header', 'a,b\r1,2\n3,4\n', {}, [2, 4]],
    ['ends lines beside \\r\\n', 'a,b\r\n1,2\r3,4\r\n5,6\n', {}, [2, 4, 6]],
    ['ends blank lines', 'a,b\r\r1,2\r\n\r3,4\r\r\n', {}, [2, 4]],
    ['stands before \\r\\n', 'a,b\r\r\n1,2\r\r\n', {}, [2]],
    ['is inside quotes', 'a,b\n1,"x\ry"\n2,z\n', {}, ['x\ry', 'z']],
    ['is inside quotes of a file of its kind', 'a,b\r1,"x\ny"\r2,z\r', {}, ['x\ny', 'z']],
    ['ends lines of a file without quotes', 'a,b\r1,"2\n3,4\r', { quote: false }, ['"2', '4']],
  ])('%s', async (_, text, options, expected) => {
    expect(values(await read(text, options), 'b')).toEqual(expected)
  })

  it('ends lines beyond what is buffered at once', async () => {
    const lines = Array.from({ length: 40_000 }, (_, row) => `${row},some text that makes lines long enough ${row % 7}`)
    for (const end of ['\r', '\n']) {
      const data = await read(['a,b', ...lines].join('\r') + end)
      expect(data.rows).toBe(40_000)
      expect(values(data, 'a')).toEqual(lines.map((_, row) => row))
    }
  })

  it.each<[string, string | Buffer, number | undefined, Error, CsvOptions]>([
    ['in the last field', 'a,b\n1,x\n2,y\rz\n3,x\n', 1, refusal('DATA', { says: 'carriage return' }), {}],
    ['in the first field', 'a,b\n1,x\n2\r2,y\n', 1, refusal('DATA', { row: 1, says: '"2"' }), {}],
    ['beside \\r\\n', 'a,b,c\r\n1,x,0\r\n2,y\rz,0\r\n', 1, refusal('DATA', { row: 1, says: '3' }), {}],
    ['without a header', '1,x\n2,y\rz\n', 1, refusal('DATA', { says: '"y"' }), { header: false }],
    ['in the header', 'a,b\rc\n1,2\n', undefined, refusal('DATA'), {}],
    ['in UTF-16', Buffer.from('\ufeffa,b\n1,x\n2,y\rz\n', 'utf16le'), 1, refusal('DATA', { says: 'quotes' }), {}],
    ['far down', `a,b\n${'1,x\n'.repeat(30_000)}2,y\rz\n`, 30_000, refusal('DATA', { row: 30000 }), {}],
  ])('cuts a row: %s', async (_, text, row, message, options) => {
    await expect(read(text, options)).rejects.toThrow(message)
    await expect(read(text, options)).rejects.toMatchObject({ row })
  })

  it('is not to blame for other faults', async () => {
    await expect(read('a,b\r1,2\r3\r4,5\r')).rejects.toThrow(refusal('DATA', { says: ['2', '1'] }))
    await expect(read('a,b\n1,2\r3,4,5\n')).rejects.toThrow(refusal('DATA', { row: 1, says: ['2', '3'] }))
  })
})

describe('what is refused', () => {
  it.each<[string, string | Uint8Array, CsvOptions, Error]>([
    ['a short row', 'a,b\n1,x\n2\n3,z\n', {}, refusal('DATA', { row: 1, says: ['line 3', '2', '1'] })],
    ['a long row', 'a,b\n1,x\n2,y,z\n', {}, refusal('DATA', { says: '3' })],
    ['an open quote', 'a,b\n1,"x\n2,y\n', {}, refusal('DATA', { row: 0, says: 'quote' })],
    ['bytes that are not UTF-8', Buffer.from('a,b\n1,\xff\n', 'latin1'), {}, refusal('DATA', { says: ['utf-8', "'gbk'"] })],
    ['an empty file', '', {}, refusal('DATA', { says: 'empty' })],
    ['two columns of one name', 'a,b,a\n1,2,3\n', {}, refusal('DATA', { says: '"a"' })],
    [
      'a column that is not there',
      'price,b\n1,x\n',
      { columns: ['b', 'prise'] },
      refusal('DATA', { column: 'prise', says: '2' }),
    ],
    ['a kind of no column', 'price,b\n1,x\n', { types: { prize: 'string' } }, refusal('DATA', { column: 'prize' })],
    [
      'numbers that are not',
      'a,b\n1,x\n2,y\n',
      { types: { b: 'number' } },
      refusal('DATA', { column: 'b', row: 0, value: 'x', says: 'csv.types' }),
    ],
  ])('%s', async (_, content, options, message) => {
    await expect(read(content, options)).rejects.toThrow(message)
  })

  it('a line that is too long, and says so', async () => {
    await expect(read(`a,b\n${'12345|'.repeat(400_000)},1\n`)).rejects.toThrow(
      /line 2: Original Line: .{80}\.\.\.; Maximum line size/,
    )
  })

  it('a file that is not there, a folder, and gzip that is none', async () => {
    await expect(Dataset.fromCsv(join(folder, 'no.csv'))).rejects.toMatchObject({
      code: 'ERR_MULTIGATE_DATA',
      file: join(folder, 'no.csv'),
    })
    await expect(Dataset.fromCsv(folder)).rejects.toThrow(refusal('DATA', { says: 'directory' }))
    await expect(read('a,b\n1,x\n', {}, '.csv.gz')).rejects.toThrow(refusal('DATA'))
  })

  it('a wrong option, and says where the row is', async () => {
    await expect(read('a\n1\n', { delimeter: ';' } as never)).rejects.toThrow(
      refusal('ARGUMENT', { field: 'csv.delimeter', says: "'delimiter'" }),
    )
    for (const delimiter of ['', ':::::', '"', '\n'])
      await expect(read('a\n1\n', { delimiter })).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT' })
    await expect(read('a,b\n1,x\n2\n')).rejects.toMatchObject({ row: 1 })
  })
})
