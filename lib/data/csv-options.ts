// The options of a CSV file, and the resulting format of one file.

import { z } from 'zod'
import { parseOptions } from '../core/check.js'
import { abortSignal, frozen, mapByName } from '../core/schemas.js'
import type { Signal } from '../core/slices.js'
import { type ColumnsOptions, columnsSchema } from './column-selection.js'
import type { Dialect } from './csv-fields.js'

/** How a CSV file is written. */
export interface CsvOptions extends ColumnsOptions {
  /** One or more characters, at most four bytes. Default `,`; a tab for `.tsv` and `.tsv.gz`. */
  readonly delimiter?: string | undefined
  /**
   * The character around a field that holds delimiters, quotes or line ends: one ASCII character. `false` makes quotes ordinary
   * characters, as in most logs with tabs. Default `"`, with a check: if the quotes seem to be ordinary characters and would swallow
   * rows, the file is refused. Set `'"'` yourself to skip that check.
   */
  readonly quote?: string | false | undefined
  /** The character before a quote inside a quoted field: `'\\'` for `"say \"hi\""`. Default: the quote, for `"say ""hi"""`. */
  readonly escape?: string | undefined
  /** Whether the first line names the columns. Default true; false if `names` is given. */
  readonly header?: boolean | undefined
  /**
   * The names of all columns, in order. They replace those of a header line (`header: true`). Default: the names of the header, or
   * `c0`, `c1` and so on without a header.
   */
  readonly names?: readonly string[] | undefined
  /**
   * The character encoding, by any name that `TextDecoder` knows: `'utf-16le'`, `'gbk'`, `'windows-1252'`. Default: from the file's
   * byte order mark, else UTF-8. A file that is not UTF-8 is copied to the system's temporary folder first.
   */
  readonly encoding?: string | undefined
  /** Removes blanks and tabs around every field. Default false. */
  readonly trim?: boolean | undefined
  /**
   * Fields that mean a missing value, as they are written: `['', 'NULL']` for every column, or by column: `{ like: ['-1', 'NULL'] }`.
   * By column, an empty field is also missing in every column. Default `['']`.
   */
  readonly nullValues?: readonly string[] | Readonly<Record<string, readonly string[]>> | undefined
  /** The kind of a column whose values look like another kind: `{ zip: 'string' }`. Default: found from all values of the file. */
  readonly types?: Readonly<Record<string, 'number' | 'string'>> | undefined
  /** Ends the read when it is aborted. */
  readonly signal?: Signal | undefined
}

const lineEnd = /[\r\n]/
const texts = frozen(z.array(z.string()))
const character = z.string().regex(/^[\x21-\x7e]$/, 'one ASCII character that is not a blank')

const schema = z
  .strictObject({
    delimiter: z
      .string()
      .min(1)
      .refine((text) => !lineEnd.test(text), 'expected a delimiter without line ends')
      .refine((text) => Buffer.byteLength(text) <= 4, 'expected at most 4 bytes')
      .optional(),
    quote: z.union([character, z.literal(false), z.literal('')]).optional(),
    escape: character.optional(),
    header: z.boolean().optional(),
    names: frozen(z.array(z.string().min(1)).min(1)).optional(),
    encoding: z.string().refine(isEncoding, 'expected the name of a character encoding, such as utf-16le or gbk').optional(),
    trim: z.boolean().default(false),
    nullValues: z.union([texts, mapByName(texts)]).default(['']),
    types: mapByName(z.enum(['number', 'string'])).default(new Map()),
    columns: columnsSchema,
    signal: abortSignal.optional(),
  })
  .superRefine(({ delimiter = '', quote, escape: escapedBy }, context) => {
    const none = quote === false || quote === ''
    const wrong = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    if (none && escapedBy !== undefined) wrong('escape', 'expected none with quote: false; leave one of the two out')
    if (!none && delimiter.includes(quote ?? '"'))
      wrong('delimiter', 'expected a delimiter without the quote character; if quotes are ordinary characters, set quote: false')
    if (escapedBy !== undefined && delimiter.includes(escapedBy))
      wrong('delimiter', 'expected a delimiter without the escape character')
  })

/** The options of one file, with all defaults filled in. */
export interface CsvFormat {
  readonly path: string
  readonly dialect: Dialect
  /** Whether the user set the quote. */
  readonly quoteIsSaid: boolean
  readonly header: boolean
  readonly names: readonly string[] | undefined
  readonly encoding: string | undefined
  readonly trim: boolean
  /** Missing in every column. */
  readonly nullValues: readonly string[]
  /** Missing in one column, in addition. */
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
