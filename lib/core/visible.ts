// Text as it is safe to print. Names come from files and from users: what a terminal would obey or hide (escape sequences, lines
// that run from right to left) is spelt as JSON spells it, so that JSON stays the same JSON.

const unprintable = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** One line of text, its control characters, bidirectional controls and lone surrogates spelt out: `\u001b`, `\n`. */
export function visible(text: string): string {
  return text.replace(unprintable, (char) => short[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The same for several lines, which stay lines. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n')
}
