// Every relative link of every document in the package leads to a file that is in the package, and to a heading that is there.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Packed {
  readonly files: readonly { readonly path: string }[]
}

const out = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' })
const [packed] = JSON.parse(out) as [Packed]
const files = new Set(packed.files.map(({ path }) => path))
const documents = [...files].filter((path) => path.endsWith('.md'))

/** Without blocks of code, whose brackets are no links. */
function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8').replace(/^```.*?^```$/gms, '')
}

/** As pages of a repository name their headings. */
function anchorsOf(path: string): string[] {
  return [...textOf(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  )
}

it('the package has the documents', () => {
  for (const path of ['README.md', 'README.zh-CN.md', 'CHANGELOG.md', 'docs/guide.md', 'docs/errors.md', 'bench/README.md'])
    expect(documents).toContain(path)
  expect(documents.filter((path) => path.startsWith('docs/adr/'))).toEqual([])
})

it.each(documents)('the links of %s lead somewhere', (path) => {
  for (const [, target = ''] of textOf(path).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    const [file = '', anchor] = target.split('#')
    const linked = file === '' ? path : posix.join(dirname(path), file)
    expect(files, `${path}: ${target}`).toContain(linked)
    if (anchor !== undefined) expect(anchorsOf(linked), `${path}: ${target}`).toContain(anchor)
  }
})
