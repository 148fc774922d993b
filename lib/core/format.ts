// Numbers as people read them, in tables, lines of progress and reports.

/** The number with 4 decimals; empty if undefined. */
export function decimals(value: number | undefined, digits = 4): string {
  return value === undefined ? '-' : value.toFixed(digits)
}

/** A learning rate with three digits: `0.001`, `1.25e-7`. */
export function rateText(rate: number): string {
  return String(Number(rate.toPrecision(3)))
}

/** `12,345`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** `8.2 s`, `3 min 05 s`, `2 h 07 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`
  return `${Math.floor(whole / 3600)} h ${padded(Math.floor((whole % 3600) / 60))} min`
}

function padded(value: number): string {
  return String(value).padStart(2, '0')
}
