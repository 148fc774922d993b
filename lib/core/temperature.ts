// Temperatures of gates: a number, or a schedule by epoch as plain data. A schedule is a function of the number of epochs done, so it needs
// no state.

/**
 * A temperature that changes from epoch to epoch. e counts the epochs that the model has been trained before this one, over all `fit`s; the
 * first has e = 0. With s = min(e, epochs) / epochs: `'linear'`: start + (end - start) s. `'exponential'`: start (end / start)^s.
 * `'cosine'`: end + (start - end) (1 + cos(pi s)) / 2.
 */
export interface TemperatureSchedule {
  readonly schedule: 'linear' | 'exponential' | 'cosine'
  readonly start: number
  readonly end: number
  /** Epochs to the end. Later ones have `end`. */
  readonly epochs: number
}

/** One temperature for good, or a schedule. */
export type Temperature = number | TemperatureSchedule

const shapes: { readonly [One in TemperatureSchedule['schedule']]: (start: number, end: number, share: number) => number } = {
  linear: (start, end, share) => start + (end - start) * share,
  exponential: (start, end, share) => start * (end / start) ** share,
  cosine: (start, end, share) => end + ((start - end) * (1 + Math.cos(Math.PI * share))) / 2,
}

/** The temperature of the epoch that follows `done` epochs. */
export function temperatureAfter(temperature: Temperature, done: number): number {
  if (typeof temperature === 'number') return temperature
  const { schedule, start, end, epochs } = temperature
  if (done >= epochs) return end
  return shapes[schedule](start, end, done / epochs)
}
