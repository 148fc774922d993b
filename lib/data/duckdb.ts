// The optional package that reads files and runs SQL: loaded on first use, and the connection that a read lives in.
// Nothing is ever downloaded: extensions are neither installed nor loaded by themselves.

import { tmpdir } from 'node:os'

import type { DuckDBConnection } from '@duckdb/node-api'

import { DataError, MissingPackageError, MultigateError, messageOf } from '../core/errors.js'

const packageName = '@duckdb/node-api'

type Package = typeof import('@duckdb/node-api')

/** What a read works with. */
export interface Session {
  readonly connection: DuckDBConnection
  /** Runs one statement and gives all its rows as plain values. */
  rows(sql: string): Promise<readonly (readonly unknown[])[]>
}

/**
 * Loads the package. @throws ERR_MULTIGATE_MISSING_PACKAGE with the command that installs it.
 * @param importPackage what imports it; tests replace it.
 */
export async function loadDuckDB(
  neededFor: string,
  importPackage: () => Promise<Package> = () => import('@duckdb/node-api'),
): Promise<Package> {
  try {
    return await importPackage()
  } catch (cause) {
    throw new MissingPackageError(packageName, neededFor, { cause })
  }
}

interface Database {
  /** A file, opened read-only. Default: one of its own in memory, which goes to disk where memory runs out. */
  readonly database?: string | undefined
}

/** What `use` yields on a database, which is closed after it, or where its reader has had enough. */
export async function* usingDuckDB<T>(
  what: string,
  { database }: Database,
  use: (session: Session) => AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  const { DuckDBInstance } = await loadDuckDB(what)
  const instance = await DuckDBInstance.create(database ?? ':memory:', {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    // Its default is a folder below the working directory; this one is used only where memory runs out.
    temp_directory: tmpdir(),
    ...(database !== undefined && { access_mode: 'READ_ONLY' }),
  }).catch((cause: unknown) => {
    throw failed(what, cause)
  })
  try {
    const connection = await instance.connect()
    try {
      // The text of a moment must not depend on where the program runs.
      await connection.run("SET TimeZone = 'UTC'")
      yield* use({ connection, rows: async (sql) => (await connection.runAndReadAll(sql)).getRowsJS() })
    } catch (cause) {
      throw cause instanceof MultigateError ? cause : failed(what, cause)
    } finally {
      connection.closeSync()
    }
  } finally {
    instance.closeSync()
  }
}

/** A text as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A name as an SQL identifier. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A path as a literal that matches only itself: DuckDB takes `*`, `?` and `[` for patterns. */
export function pathLiteral(path: string): string {
  return literal(path.replace(/[*?[]/g, '[$&]'))
}

function failed(what: string, cause: unknown): DataError {
  return new DataError(`${what}: ${messageOf(cause)}`, { cause })
}
