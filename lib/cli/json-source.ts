// Finds the line of a key in a JSON file, for messages about configurations.

import { findNodeAtLocation, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser'

export interface JsonSource {
  readonly path: string
  readonly text: string
}

/** Why a text is not JSON, and in which line (from 1). */
export function syntaxError({ text }: JsonSource): { readonly line: number; readonly what: string } | undefined {
  const errors: ParseError[] = []
  parseTree(text, errors, { disallowComments: true, allowTrailingComma: false })
  const [first] = errors
  if (first === undefined) return undefined
  const words = printParseErrorCode(first.error).replaceAll(/([a-z])([A-Z])/g, '$1 $2')
  return { line: lineAt(text, first.offset), what: words.toLowerCase() }
}

/**
 * The line (from 1) of the key that an error's field names, such as `config.fit.epochs` or `MMoE.tasks[0].name`; the part before the
 * first dot is not in the file. It takes the first source with that key. For a missing key it is the line of the enclosing one.
 */
export function placeOf(
  sources: readonly JsonSource[],
  field: string,
): { readonly path: string; readonly line: number } | undefined {
  const [, ...keys] = field.split(/[.[\]]+/).filter((part) => part !== '')
  const path = keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key))
  for (let length = path.length; length > 0; length -= 1) {
    for (const source of sources) {
      const root = parseTree(source.text)
      const node = root && findNodeAtLocation(root, path.slice(0, length))
      if (node !== undefined) return { path: source.path, line: lineAt(source.text, keyOf(node).offset) }
    }
  }
  return undefined
}

/** The property that holds this value, so that a long list is located by its first line. */
function keyOf(node: Node): Node {
  return node.parent?.type === 'property' ? node.parent : node
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}
