// Names come from files that somebody else may have made: none of them reaches a terminal as it is.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Dataset, dense, MMoE, regression, sparse } from '../../lib/index.js'
import { progress } from '../../lib/report/progress.js'
import { historyTable, resultsTable } from '../../lib/report/results.js'
import { runIn } from '../support/command-line.js'

const lib = fileURLToPath(new URL('../../lib/', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'multigate-terminal-'))
afterAll(() => rmSync(folder, { recursive: true }))

const evil = '\u001b]0;owned\u0007\u009b2J\u202e\nx'
const shown = '\\u001b]0;owned\\u0007\\u009b2J\\u202e\\nx'
const feature = `f${evil}`
const task = `t${evil}`
/** Control characters other than the end of a line. */
const raw = /[^\P{Cc}\n]|\p{Bidi_Control}/u
const texts: string[] = []
const path = join(folder, 'model.safetensors')

beforeAll(async () => {
  using model = new MMoE({
    features: [sparse(feature, { dim: 2 }), dense('price')],
    tasks: [regression(task)],
    numExperts: 2,
    expertHiddenUnits: [2],
  })
  const data = Dataset.fromColumns({ [feature]: ['a', 'b', 'a'], price: [1, 2, 3], [task]: [1, 2, 3] })
  const stream = { write: (text: string) => texts.push(text) }
  const history = await model.fit(data, { callbacks: [progress({ stream, bar: false })] })
  const unknown = Dataset.fromColumns({ [feature]: ['c', 'd', 'e'], price: [1, 2, 3], [task]: [1, 2, 3] })
  texts.push(historyTable(history), resultsTable({ [evil]: await model.evaluate(unknown) }))
  await model.save(path)
  const cell = (name: string): string => `"${name}"`
  writeFileSync(join(folder, 'data.csv'), `${cell(feature)},price,${cell(task)}\nz,1,2\na,2,3\n`)
  writeFileSync(join(folder, 'broken.csv'), `${cell(feature)},price,${cell(task)}\nz,${evil},2\n`)
})

const run = (...args: string[]) => runIn(folder, ...args)

it('progress and tables spell control characters out', () => {
  expect(texts.join('')).not.toMatch(raw)
  expect(texts.join('').split(shown).length).toBeGreaterThan(3)
})

it.each([
  ['inspect', ['inspect', path], 0],
  ['evaluate', ['evaluate', path, '--data', 'data.csv'], 0],
  ['an error about data', ['evaluate', path, '--data', 'broken.csv'], 1],
  ['an error about a file', ['inspect', `${evil}.safetensors`], 1],
  ['an option that there is not', ['inspect', path, `--${evil}`], 2],
  ['a command that there is not', [evil], 2],
  ['a value that an option does not take', ['predict', path, '--data', 'data.csv', '--threads', evil], 2],
])('the command line does: %s', async (_, args, code) => {
  const ended = await run(...args)
  const text = ended.out + ended.err
  expect([ended.code, text]).toEqual([code, expect.not.stringMatching(raw)])
  // In a message a line's end is one; in a table a name has a cell to keep to.
  expect(text).toContain(shown.slice(0, -3))
})

it('JSON is still the same JSON', async () => {
  const { out } = await run('inspect', path, '--json')
  expect(out).not.toMatch(raw)
  expect(JSON.parse(out)).toMatchObject({ features: [{ name: feature }, { name: 'price' }], tasks: [{ name: task }] })
})

it('scores in CSV keep their names', async () => {
  expect((await run('predict', path, '--data', 'data.csv')).out).toContain(`"${task}"`)
})

it('nothing else writes to the terminal', () => {
  const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const writing = files.filter((name) =>
    /process\.std(out|err)\s*\.write|console\./.test(code(readFileSync(join(lib, name), 'utf8'))),
  )
  // Scores are a file, on stdout too.
  expect(writing.sort()).toEqual([join('cli', 'scores.ts'), join('cli', 'terminal.ts')])
})

/** Without comments, which have examples. */
function code(text: string): string {
  return text.replace(/\/\*\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
}
