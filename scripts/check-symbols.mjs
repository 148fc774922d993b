// Fails if an object file of native/cpu/isa defines a weak symbol. The linker keeps one copy of a weak symbol. If that is the AVX-512
// copy, baseline code ends with an illegal instruction on an older processor.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** The weak symbols that an object file defines, demangled. Undefined weak references (lower case w, v) are harmless. */
export function weakSymbols(object) {
  const { status, stdout, stderr } = spawnSync('nm', ['-C', object], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`nm ${object}: ${stderr}`)
  return stdout
    .split('\n')
    .filter((line) => /^[0-9a-f]+ [WVu] /.test(line))
    .map((line) => line.replace(/^\S+ \S /, ''))
}

function* objects(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* objects(path)
    else if (/[\\/]cpu[\\/]isa[\\/][^\\/]+\.o$/.test(path)) yield path
  }
}

function main() {
  const folder = process.argv[2] ?? join('build', 'Release')
  const found = existsSync(folder) ? [...objects(folder)] : []
  if (found.length === 0) {
    console.error(`check-symbols: no objects of native/cpu/isa below ${folder}; build first (npm run build)`)
    process.exit(1)
  }
  const bad = found.flatMap((object) => weakSymbols(object).map((symbol) => `${object}: ${symbol}`))
  for (const line of bad) console.error(`weak symbol in ${line}`)
  console.log(`check-symbols: ${found.length} objects, ${bad.length} weak symbols`)
  if (bad.length > 0) process.exit(1)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main()
