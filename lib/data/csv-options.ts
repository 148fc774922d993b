// How a CSV file is written: the options, and what they come to for one file.

import { z } from 'zod'
import { parseOptions } from '../core/check.js'
import { abortSignal, frozen, mapByName } from '../core/schemas.js'
import type { Signal } from '../core/slices.js'
import { type ColumnsOptions, columnsSchema } from './column-selection.js'
import type { Dialect } from './csv-fields.js'

/** How a CSV file is written. */
export interface CsvOptions extends ColumnsOptions {
  /** One character or a few, of four bytes at most. Default `,`, and a tab for `.tsv` and `.tsv.gz`. */
  readonly delimiter?: string | undefined
  /**
   * What stands around a field that holds delimiters, quotes or line ends: one ASCII character, or `false` where quotes are
   * ordinary characters, as in most logs with tabs. Default `"`; a file that seems to have no quotes of that kind is then refused
   * where they would swallow rows. To say `'"'` is to say that they are meant.
   */
  readonly quote?: string | false | undefined
  /** What makes a quote inside a quoted field an ordinary one: `'\\'` for `"say \"hi\""`. Default: the quote, for `"say ""hi"""`. */
  readonly escape?: string | undefined
  /** Whether the first line names the columns. Default true, and false where `names` are given. */
  readonly header?: boolean | undefined
  /**
   * The names of all columns, in their order; those of a header line (`header: true`) give way to them. Default: the header's, and
   * without one `c0`, `c1` and so on.
   */
  readonly names?: readonly string[] | undefined
  /**
   * How characters are coded, by any name that `TextDecoder` knows: `'utf-16le'`, `'gbk'`, `'windows-1252'`. Default: what the file's
   * byte order mark says, else UTF-8. Of a file in another coding than UTF-8 a copy is made in the system's temporary folder.
   */
  readonly encoding?: string | undefined
  /** Removes blanks and tabs around every field. Default false. */
  readonly trim?: boolean | undefined
  /**
   * Fields that are missing values, as they are written: `['', 'NULL']` in every column, or by column, where an empty field is missing
   * everywhere: `{ like: ['-1', 'NULL'] }`. Default `['']`.
   */
  readonly nullValues?: readonly string[] | Readonly<Record<string, readonly string[]>> | undefined
  /** The kind of a column, where what its values look like is not what they are: `{ zip: 'string' }`. */
  readonly types?: Readonly<Record<string, 'number' | 'string'>> | undefined
  /** Ends the reading when it is aborted. */
  readonly signal?: Signal | undefined
}

const lineEnd = /[\r\n]/
const texts = frozen(z.array(z.string()))
const character = z.string().regex(/^[\x21-\x7e]$/, 'one ASCII character that is no blank')

const schema = z
  .strictObject({
    delimiter: z
      .string()
      .min(1)
      .refine((text) => !lineEnd.test(text), 'expected no line end')
      .refine((text) => Buffer.byteLength(text) <= 4, 'expected at most 4 bytes')
      .optional(),
    quote: z.union([character, z.literal(false), z.literal('')]).optional(),
    escape: character.optional(),
    header: z.boolean().optional(),
    names: frozen(z.array(z.string().min(1)).min(1)).optional(),
    encoding: z.string().refine(isEncoding, 'expected the name of a character coding, such as utf-16le or gbk').optional(),
    trim: z.boolean().default(false),
    nullValues: z.union([texts, mapByName(texts)]).default(['']),
    types: mapByName(z.enum(['number', 'string'])).default(new Map()),
    columns: columnsSchema,
    signal: abortSignal.optional(),
  })
  .superRefine(({ delimiter = '', quote, escape: escapedBy }, context) => {
    const none = quote === false || quote === ''
    const wrong = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    if (none && escapedBy !== undefined) wrong('escape', 'expected none where there are no quotes (quote: false)')
    if (!none && delimiter.includes(quote ?? '"'))
      wrong('delimiter', 'expected no quote; say quote: false where it has another meaning')
    if (escapedBy !== undefined && delimiter.includes(escapedBy)) wrong('delimiter', 'expected no escape character in it')
  })

/** The options of one file, all said. */
export interface CsvFormat {
  readonly path: string
  readonly dialect: Dialect
  /** The user said what the quote is. */
  readonly quoteIsSaid: boolean
  readonly header: boolean
  readonly names: readonly string[] | undefined
  readonly encoding: string | undefined
  readonly trim: boolean
  /** Missing in every column. */
  readonly nullValues: readonly string[]
  /** Missing in one column as well. */
  readonly nullsOf: ReadonlyMap<string, readonly string[]>
  readonly types: ReadonlyMap<string, 'number' | 'string'>
  readonly columns: readonly string[] | undefined
  readonly signal: Signal | undefined
}

/** @throws ERR_MULTIGATE_ARGUMENT naming the wrong option. */
export function csvFormat(path: string, options: CsvOptions): CsvFormat {
  const { delimiter, quote = '"', escape: escapedBy, nullValues, header, names, ...rest } = parseOptions('csv', schema, options)
  const mark = quote === false ? '' : quote
  const everywhere = nullValues instanceof Map ? [''] : (nullValues as readonly string[])
  return {
    ...rest,
    path,
    dialect: {
      delimiter: delimiter ?? (/\.tsv(\.gz)?$/i.test(path) ? '\t' : ','),
      quote: mark,
      escape: escapedBy ?? mark,
    },
    quoteIsSaid: options.quote !== undefined,
    header: header ?? names === undefined,
    names,
    encoding: rest.encoding,
    nullValues: everywhere,
    nullsOf: nullValues instanceof Map ? nullValues : new Map(),
    columns: rest.columns,
    signal: rest.signal,
  }
}

function isEncoding(label: string): boolean {
  try {
    return new TextDecoder(label).encoding !== ''
  } catch {
    return false
  }
}
