// Makes lib/core/op-fields.ts from native/abi/ops.h: every op as a TypeScript type, with its phase and the comment of the header.
//   node scripts/generate-ops.mjs            writes the file
//   node scripts/generate-ops.mjs --check    fails if the file is not up to date
// A folder as the last argument replaces this repository.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = process.argv.slice(2).find((argument) => argument !== '--check') ?? join(import.meta.dirname, '..')
const header = join(root, 'native/abi/ops.h')
const output = join(root, 'lib/core/op-fields.ts')

const camelCase = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
const pascalCase = (name) => camelCase(`_${name}`)

/** The TypeScript type of a field. `optional`: the view, or an entry of the list, may be absent. */
const types = {
  VIEW: (optional) => (optional ? 'OptionalView' : 'View'),
  VIEWS: (optional) => (optional ? 'readonly OptionalView[]' : 'readonly View[]'),
  INT: () => 'number',
  INTS: () => 'readonly number[]',
  FLOAT: () => 'number',
  SCALAR: (optional) => (optional ? 'number | null' : 'number'),
}

/** The rows of MG_OPS: [name, phase]. */
function readOps(text) {
  const [rows] = /#define MG_OPS\(OP\)(?:.*\\\n)+.*\n/.exec(text) ?? []
  return [...(rows ?? '').matchAll(/OP\((\w+), *([A-Z]+)\)/g)].map(([, name, phase]) => [name, phase.toLowerCase()])
}

/** The field lists in order: name, the comment before it, and lines of fields. */
function readLists(text) {
  const pattern = /(?:\/\*((?:[^*]|\*(?!\/))*)\*\/\n)?#define MG_FIELDS_(\w+)\(VIEW.*?\)((?:.*\\\n)*.*)\n/g
  return [...text.matchAll(pattern)].map(([, comment = '', name, body]) => ({
    name,
    comment: comment.split('\n').map((line) => line.replace(/^\s*\*? ?/, '').trimEnd()),
    lines: body
      .split('\n')
      .map((line) => line.replace(/\\$/, '').trim())
      .filter(Boolean),
  }))
}

/** One line of a list: an included list, or a field. */
function readLine(list, line) {
  const [, included] = /^MG_FIELDS_(\w+)\(/.exec(line) ?? []
  if (included !== undefined) return { included }
  const match = /^(VIEWS?|INTS?|FLOAT|SCALAR)\((\w+)\)(?: *\/\* (optional) \*\/)?$/.exec(line)
  if (match === null) throw new Error(`ops.h, ${list}: cannot read "${line}"`)
  const [, kind, name, optional] = match
  return { field: `${camelCase(name)}: ${types[kind](optional !== undefined)}` }
}

function listText({ name, comment, lines }, isOp) {
  const read = lines.map((line) => readLine(name, line))
  const parts = read.flatMap(({ included }) => included ?? []).map((part) => `${pascalCase(part)}Fields & `)
  const fields = read.flatMap(({ field }) => field ?? []).map((field) => `  readonly ${field}\n`)
  const text = comment.join('\n').trim()
  const doc = text === '' ? '' : `/**\n${text.replace(/^/gm, ' * ').replace(/ +$/gm, '')}\n */\n`
  return `${doc}export type ${pascalCase(name)}${isOp ? 'Op' : ''}Fields = ${parts.join('')}{\n${fields.join('')}}\n`
}

function generate() {
  const text = readFileSync(header, 'utf8')
  const ops = readOps(text)
  const lists = readLists(text)
  const phases = [...new Set(ops.map(([, phase]) => phase))]
  const isOp = new Set(ops.map(([name]) => name))
  const missing = ops.filter(([name]) => !lists.some((list) => list.name === name))
  if (ops.length === 0 || missing.length > 0) throw new Error(`ops.h: no field list of ${missing.join(', ') || 'any op'}`)
  return `// Made by scripts/generate-ops.mjs from native/abi/ops.h. Change that file and run \`npm run generate\`.
//
// Every op field by field, so that a forgotten or misspelt field does not compile.

/** Columns of a row buffer or elements of another buffer. */
export interface View {
  readonly buffer: number
  readonly offset: number
  readonly width: number
}

/** A view that may be absent. */
export type OptionalView = View | null

${lists.map((list) => listText(list, isOp.has(list.name))).join('\n')}
/** What a run can be cut at, in the order of a step. */
export const phases = [${phases.map((phase) => `'${phase}'`).join(', ')}] as const

export type Phase = (typeof phases)[number]

/** The fields of every op, by its name. */
export interface OpFields {
${ops.map(([name]) => `  readonly ${name}: ${pascalCase(name)}OpFields\n`).join('')}}

export type OpName = keyof OpFields

/** The phase of every op. */
export const phaseOf = {
${ops.map(([name, phase]) => `  ${name}: '${phase}',\n`).join('')}} as const satisfies Readonly<Record<OpName, Phase>>

/** An op of a program: its name and its fields. */
export type Op = { [Name in OpName]: { readonly op: Name } & OpFields[Name] }[OpName]
`
}

const wanted = generate()
if (!process.argv.includes('--check')) {
  writeFileSync(output, wanted)
} else if (readFileSync(output, 'utf8') !== wanted) {
  console.error('lib/core/op-fields.ts is not what native/abi/ops.h says: run `npm run generate`')
  process.exit(1)
}
