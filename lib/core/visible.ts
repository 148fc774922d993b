// Text that is safe to print. Names come from files and users. Characters that a terminal would obey or hide (escape sequences,
// bidirectional controls) are escaped as in JSON, so that JSON stays the same JSON.

const unprintable = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** One line of text with control characters, bidirectional controls and lone surrogates escaped: `\u001b`, `\n`. */
export function visible(text: string): string {
  return text.replace(unprintable, (char) => short[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The same for several lines; line breaks stay. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n')
}
