// The text of a JSON file: its value, and the line of a key, for messages about configurations. A file whose name ends in .jsonc may have
// comments, and commas after a last item.

import { findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser'

export interface JsonSource {
  readonly path: string
  readonly text: string
}

/** Why a text is not JSON, and where; lines and columns count from 1. */
export interface SyntaxProblem {
  readonly line: number
  readonly column: number
  readonly what: string
}

/** The first error of a text. */
export function syntaxError({ path, text }: JsonSource): SyntaxProblem | undefined {
  const errors: ParseError[] = []
  const commented = isCommented(path)
  parseTree(text, errors, { disallowComments: !commented, allowTrailingComma: commented })
  const [first] = errors
  if (first === undefined) return undefined
  const words = printParseErrorCode(first.error).replaceAll(/([a-z])([A-Z])/g, '$1 $2')
  return {
    line: lineAt(text, first.offset),
    column: first.offset - text.lastIndexOf('\n', first.offset - 1),
    what: words.toLowerCase(),
  }
}

/** The value of a text without a syntax error. */
export function parsedJson({ path, text }: JsonSource): unknown {
  const tree = isCommented(path) ? parseTree(text, [], { allowTrailingComma: true }) : undefined
  // As JSON again, because the objects of this parser have no prototype.
  return JSON.parse(tree === undefined ? text : JSON.stringify(getNodeValue(tree)))
}

function isCommented(path: string): boolean {
  return /\.jsonc$/i.test(path)
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
      const root = parseTree(source.text, [], { allowTrailingComma: true })
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
