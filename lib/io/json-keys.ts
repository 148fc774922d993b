// Finds a key that comes twice in one object of a JSON text. JSON.parse keeps the last one in silence, so two readers could
// see two different files. The text must be valid JSON already.

/** The first key that comes twice in an object, or undefined. */
export function duplicateKey(json: string): string | undefined {
  // One set per open object, undefined per open array.
  const open: (Set<string> | undefined)[] = []
  let expectsKey = false
  for (let at = 0; at < json.length; at += 1) {
    switch (json[at]) {
      case '{':
        open.push(new Set())
        expectsKey = true
        break
      case '[':
        open.push(undefined)
        expectsKey = false
        break
      case '}':
      case ']':
        open.pop()
        expectsKey = false
        break
      case ',':
        expectsKey = open.at(-1) !== undefined
        break
      case '"': {
        const end = endOfString(json, at)
        const keys = open.at(-1)
        if (expectsKey && keys !== undefined) {
          const key = JSON.parse(json.slice(at, end + 1)) as string
          if (keys.has(key)) return key
          keys.add(key)
          expectsKey = false
        }
        at = end
      }
    }
  }
  return undefined
}

function endOfString(json: string, start: number): number {
  let at = start + 1
  while (at < json.length && json[at] !== '"') at += json[at] === '\\' ? 2 : 1
  return at
}
