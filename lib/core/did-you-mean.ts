// "Did you mean": the known names nearest to an unknown one, for error messages.

const mostCompared = 2000

/** At most `limit` of `names`, sorted by edit distance to `wanted`, nearest first. Letter case and outer spaces do not count. */
export function nearest(wanted: string, names: Iterable<string>, limit = 5): string[] {
  const plain = wanted.trim().toLowerCase()
  const scored: { name: string; distance: number }[] = []
  for (const name of names) {
    if (scored.length === mostCompared) break
    scored.push({ name, distance: plain === initialsOf(name) ? 0 : distanceOf(plain, name.trim().toLowerCase()) })
  }
  scored.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
  return scored.slice(0, limit).map(({ name }) => name)
}

/** `lr` of `learningRate`. */
function initialsOf(name: string): string {
  return name.replace(/(?<!^)[^A-Z]/g, '').toLowerCase()
}

/** A text that begins the other is near, however long the rest is. */
function distanceOf(left: string, right: string): number {
  if (left === right) return 0
  const begins = left !== '' && right !== '' && (left.startsWith(right) || right.startsWith(left))
  return begins ? 1 : editDistance(left, right)
}

/** The number of insertions, deletions and substitutions between two texts. Only the first 64 characters count. */
function editDistance(left: string, right: string): number {
  const [a, b] = [left.slice(0, 64), right.slice(0, 64)]
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const change = a[row - 1] === b[column - 1] ? 0 : 1
      current.push(Math.min((previous[column - 1] ?? 0) + change, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    previous = current
  }
  return previous[b.length] ?? 0
}
