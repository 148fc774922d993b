// The same query on the same data gives the same rows, in the same order, to the last bit. DuckDB with many threads does not promise
// that: joins, groups, windows and samples emit rows as threads finish, and the rounding of float sums depends on their order. So a
// query runs on one thread unless its plan shows that threads change nothing. Random functions and the clock are refused.

import { DataError, messageOf } from '../core/errors.js'
import { literal, type Session } from './duckdb.js'

/** Operators that keep the order of their input with any number of threads. */
const inOrder = new Set(
  'BATCH_CREATE_TABLE_AS PROJECTION FILTER UNNEST SEQ_SCAN READ_PARQUET PARQUET_SCAN READ_CSV READ_CSV_AUTO DUMMY_SCAN COLUMN_DATA_SCAN EMPTY_RESULT'.split(
    ' ',
  ),
)
/** Operators that may change the order of rows but not their values. For groups, only if `isExact` holds. */
const inAnyOrder = new Set([
  ...inOrder,
  ...'CREATE_TABLE_AS UNION ORDER_BY HASH_JOIN NESTED_LOOP_JOIN BLOCKWISE_NL_JOIN PIECEWISE_MERGE_JOIN IE_JOIN CROSS_PRODUCT'.split(
    ' ',
  ),
  ...'HASH_GROUP_BY PERFECT_HASH_GROUP_BY UNGROUPED_AGGREGATE SIMPLE_AGGREGATE'.split(' '),
])
/** Aggregates of integers, decimals and texts that do not depend on the order of rows. */
const exactAggregates = new Set('count count_star sum min max bool_and bool_or'.split(' '))

/** Functions that DuckDB marks as volatile although they depend only on the database and the query. */
const harmless = new Set(['current_database', 'current_schema', 'current_query'])
const clock = /^(age|now|today|transaction_timestamp|(get_)?current_(date|time|timestamp|localtime|localtimestamp))$/

/**
 * Makes volatile functions an error, wherever the query hides them: in views, macros or arguments of table functions. A macro of the
 * session takes precedence over a function of the same name.
 */
export async function refuseVolatile(session: Session): Promise<void> {
  const macros = [...(await volatileFunctions(session))].map(([name, type]) => {
    const refusal = `error(${literal(`${mark}${name}`)})::${type}`
    return `CREATE OR REPLACE TEMP MACRO ${name}${name === 'age' ? `(a) AS ${refusal}, (a, b) AS system.main.age(a, b)` : `() AS ${refusal}`}`
  })
  await session.connection.run(macros.join(';\n'))
}

const mark = 'multigate refuses '

/** Names and return types. They are the same for all databases and slow to query, so they are kept. */
let volatile: ReadonlyMap<string, string> | undefined

async function volatileFunctions({ rows }: Session): Promise<ReadonlyMap<string, string>> {
  if (volatile !== undefined) return volatile
  const found = (await rows(
    `SELECT DISTINCT function_name, return_type FROM duckdb_functions() WHERE database_name = 'system' AND function_type = 'scalar'
    AND (len(parameters) = 0 AND (stability <> 'CONSISTENT' OR function_name SIMILAR TO 'current_local.*') OR function_name = 'age')
    ORDER BY 1`,
  )) as [string, string][]
  volatile = new Map(found.filter(([name]) => !harmless.has(name)))
  return volatile
}

/** The error for a refused function; any other error unchanged. */
export function refusalOf(cause: unknown): unknown {
  const [, name] = new RegExp(`${mark}(\\w+)`).exec(messageOf(cause)) ?? []
  return name === undefined ? cause : refused(name, { cause })
}

function refused(name: string, options?: ErrorOptions): DataError {
  const next = clock.test(name)
    ? "write the date or time itself, such as DATE '2024-01-31'"
    : /^random$/.test(name)
      ? 'use a hash of a column that identifies the row, such as hash(id) % 100 < 10, or a sample with a seed: USING SAMPLE 10% (bernoulli, 42)'
      : 'use a column that identifies the row, or row_number() OVER (ORDER BY ...)'
  return new DataError(`the query: expected functions that give the same value in each run, found ${name}(); ${next}`, options)
}

/**
 * Reads the plan of a query before it runs, and sets one thread if more could change its rows.
 * @param create the whole statement that makes a table of `select`.
 * @param isSorted whether the rows are sorted by a unique key afterwards.
 * @throws ERR_MULTIGATE_DATA for a sample without a seed.
 */
export async function fixThreads(session: Session, create: string, select: string, isSorted: boolean): Promise<void> {
  const explained = await session.rows(`EXPLAIN (FORMAT json) ${create}`)
  const operators = [...nodesOf(JSON.parse(String(explained[0]?.[1])))].flatMap(operatorOf)
  const plan = await serialized(session, 'json_serialize_plan', select)
  const text = await serialized(session, 'json_serialize_sql', select)
  checkSamples(operators, plan, text)
  await checkQualified(session, plan, text)
  const parallel = operators.every((name) => inOrder.has(name)) && operators.includes('BATCH_CREATE_TABLE_AS')
  if (parallel) return
  if (isSorted && operators.every((name) => inAnyOrder.has(name)) && plan !== undefined && isExact(plan)) return
  await session.connection.run('SET threads = 1')
}

/** Call this after the query: reading its rows may use all threads. */
export async function freeThreads({ connection }: Session): Promise<void> {
  await connection.run('RESET threads')
}

type Node = Readonly<Record<string, unknown>>

/** The name of an operator. A scan that takes a sample gets the name `SAMPLE`. */
function operatorOf({ name, extra_info }: Node): readonly string[] {
  if (typeof name !== 'string') return []
  const isSample = typeof extra_info === 'object' && extra_info !== null && 'Sample Method' in extra_info
  return [isSample ? 'SAMPLE' : name.trim()]
}

/** All objects inside a JSON value. */
function* nodesOf(value: unknown): Generator<Node, void, undefined> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield value as Node
  for (const inner of Object.values(value)) yield* nodesOf(inner)
}

/** The nodes of a query as DuckDB parses or plans it. Undefined if DuckDB cannot serialize it, such as a plan with CSV files. */
async function serialized(session: Session, how: string, select: string): Promise<readonly Node[] | undefined> {
  const [[json] = []] = await session.rows(`SELECT ${how}(${literal(select)}, skip_null := true)`).catch(() => [])
  const nodes = [...nodesOf(JSON.parse(String(json ?? '{"error":true}')))]
  return nodes[0]?.['error'] === true ? undefined : nodes
}

function checkSamples(operators: readonly string[], plan: readonly Node[] | undefined, text: readonly Node[] | undefined): void {
  const planned = operators.filter((name) => name.includes('SAMPLE')).length
  if (planned === 0) return
  const seen = (plan ?? text ?? []).filter((node) => 'sample_size' in node)
  // Without a serialized plan, only the text is known. A sample that is not in the text may lack a seed.
  if (seen.length >= planned && seen.every(({ seed }) => seed !== -1)) return
  throw new DataError(
    'the query: expected samples with a seed, which take the same rows in each run, found one without; add a seed: USING SAMPLE 10% (bernoulli, 42), or TABLESAMPLE reservoir(1000) REPEATABLE (42)',
  )
}

/** Refuses volatile functions that are called with their schema: macros do not replace those. */
async function checkQualified(session: Session, ...trees: readonly (readonly Node[] | undefined)[]): Promise<void> {
  const refusedNames = await volatileFunctions(session)
  for (const node of trees.flatMap((tree) => tree ?? [])) {
    const name = node['function_name'] ?? (node['expression_class'] === 'BOUND_FUNCTION' ? node['name'] : undefined)
    if (typeof name !== 'string' || !refusedNames.has(name)) continue
    const { children } = node
    if (name === 'age' && Array.isArray(children) && children.length === 2) continue
    throw refused(name)
  }
}

/** Whether groups and aggregates give the same values in any order of rows: no float rounding, no collations. */
function isExact(plan: readonly Node[]): boolean {
  return plan.every((node) => {
    const isDistinct = node['type'] === 'LOGICAL_DISTINCT'
    if (!isDistinct && node['type'] !== 'LOGICAL_AGGREGATE_AND_GROUP_BY') return true
    const { children: _children, ...own } = node
    if (/"id":"(FLOAT|DOUBLE)"|"collation":"[^"]/.test(JSON.stringify(own))) return false
    if (isDistinct) return node['distinct_type'] === 'DISTINCT'
    return [...nodesOf(node['expressions'])].every(
      ({ expression_class, name }) => expression_class !== 'BOUND_AGGREGATE' || exactAggregates.has(String(name)),
    )
  })
}
