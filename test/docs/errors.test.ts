// docs/errors.md has one section for every code that the source can throw or warn with, and none for a code that is gone.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8')

function codesInSource(pattern: RegExp): string[] {
  const files = ['lib', 'native', 'cuda'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|cc|cu|h)$/.test(name))
      .map((name) => join(root, folder, name)),
  )
  const codes = files.flatMap((file) => readFileSync(file, 'utf8').match(pattern) ?? [])
  return [...new Set(codes)].sort()
}

/** The page's sections by their heading. */
function sections(level: string): Map<string, string> {
  const parts = page.split(new RegExp(`^${level} `, 'm')).slice(1)
  return new Map(parts.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n'))]))
}

const errors = [...sections('##')].filter(([heading]) => heading.startsWith('ERR_'))

it('every error code has its section, and every section is of a code', () => {
  expect(errors.map(([code]) => code)).toEqual(codesInSource(/\bERR_MULTIGATE_[A-Z_]*[A-Z]\b/g))
})

it.each(errors)('%s: meaning, example, cause and cure, in this order, and a line in the table', (code, text) => {
  expect(text).toMatch(/\*\*Meaning\.\*\* .*^```\n.+^```$.*\*\*Cause\.\*\* .*\*\*Cure\.\*\* /ms)
  expect(page).toContain(`| [${code}](#${code.toLowerCase()}) |`)
})

it('every warning has its section', () => {
  const warnings = [...sections('###').keys()]
  expect(warnings.sort()).toEqual(codesInSource(/(?<=code: ')MULTIGATE_[A-Z_]*[A-Z](?=')/g))
})
