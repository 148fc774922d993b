// The optional package that reads files and runs SQL. It is loaded on first use; each read has its own connection. Nothing is ever
// downloaded: extensions are not installed or loaded automatically.

import { tmpdir } from 'node:os'

import type { DuckDBConnection } from '@duckdb/node-api'

import { DataError, MissingPackageError, MultigateError, messageOf } from '../core/errors.js'

const packageName = '@duckdb/node-api'

type Package = typeof import('@duckdb/node-api')

/** The connection of a read. */
export interface Session {
  readonly connection: DuckDBConnection
  /** Runs one statement and returns all its rows as plain values. */
  rows(sql: string): Promise<readonly (readonly unknown[])[]>
}

/**
 * Loads the package. @throws ERR_MULTIGATE_MISSING_PACKAGE with the command that installs it.
 * @param importPackage imports it; tests replace it.
 */
export async function loadDuckDB(neededFor: string, importPackage?: () => Promise<Package>): Promise<Package> {
  try {
    if (importPackage) return await importPackage()
    return await import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ '@duckdb/node-api')
  } catch (cause) {
    throw new MissingPackageError(packageName, neededFor, { cause })
  }
}

interface Database {
  /** A file, opened read-only. Default: a new database in memory, which spills to disk if memory runs out. */
  readonly database?: string | undefined
  /** Whether the reader takes parts, to save memory. */
  readonly inParts?: boolean | undefined
}

/** What a database of a reader in parts keeps in memory; more goes to its temporary folder. A number, so that it depends on no machine. */
const memoryInParts = '1GiB'

/** Yields what `use` yields on a database. Then, or when the reader stops early, the database is closed. */
export async function* usingDuckDB<T>(
  what: string,
  { database, inParts = false }: Database,
  use: (session: Session) => AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  const { DuckDBInstance } = await loadDuckDB(what)
  const instance = await DuckDBInstance.create(database ?? ':memory:', {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    // Used only if memory runs out. The default is a folder below the working directory.
    temp_directory: tmpdir(),
    ...(inParts && { memory_limit: memoryInParts }),
    ...(database !== undefined && { access_mode: 'READ_ONLY' }),
  }).catch((cause: unknown) => {
    throw failed(what, cause)
  })
  try {
    const connection = await instance.connect()
    const session: Session = { connection, rows: async (sql) => (await connection.runAndReadAll(sql)).getRowsJS() }
    try {
      // The text of a timestamp must not depend on where the program runs.
      await connection.run("SET TimeZone = 'UTC'")
      yield* use(session)
    } catch (cause) {
      throw cause instanceof MultigateError ? cause : failed(what, cause)
    } finally {
      // If this fails, closing frees the memory too.
      await emptied(session).catch(() => undefined)
      connection.closeSync()
    }
  } finally {
    instance.closeSync()
  }
}

/** So few bytes that the system takes them back in a few milliseconds. */
const fewBytes = 2 ** 25

/** Frees memory on a thread of DuckDB. Closing would do it on this thread, for a tenth of a second with large tables. */
async function emptied({ connection, rows }: Session): Promise<void> {
  const [[bytes] = []] = await rows('SELECT sum(memory_usage_bytes)::DOUBLE FROM duckdb_memory()')
  if (Number(bytes) < fewBytes) return
  const tables = await rows('SELECT table_name FROM duckdb_tables() WHERE temporary')
  for (const [name] of tables) await connection.run(`DROP TABLE temp.${identifier(String(name))}`)
  // The smallest limit makes DuckDB return cached memory.
  await connection.run("SET memory_limit = '1MB'")
}

/** A text as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A name as an SQL identifier. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A path as a literal that matches only itself. DuckDB reads `*`, `?` and `[` as patterns. */
export function pathLiteral(path: string): string {
  return literal(path.replace(/[*?[]/g, '[$&]'))
}

function failed(what: string, cause: unknown): DataError {
  return new DataError(`${what}: ${messageOf(cause)}`, { cause })
}
