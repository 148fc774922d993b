// Upper limits: what a program can express (native/engine/program.h), and for lists far more than is useful. Options have these
// bounds, so that an error names the option. Other checks cover memory.

/** Numbers in one row of any buffer: a layer, an embedding, a padded list. */
export const largestWidth = 2 ** 24
/** Rows of an embedding table: ids are 32-bit integers. */
export const mostTableRows = 2 ** 31
/** Experts of a level, all tasks together. */
export const mostExperts = 2 ** 12
/** Entries of any list of a topology. */
export const longestList = 2 ** 16
/** Experts that gates see, summed over all gates of all levels. */
export const mostSeats = 2 ** 20
/** Tensors of a model, and ops and buffers of a program (native/engine/program.h). */
export const mostTensors = 100_000
export const mostOps = 100_000
export const mostBuffers = 100_000
/** Layers of one stack. */
export const mostLayers = 2 ** 10
/** Threads of a run. */
export const mostThreads = 2 ** 12
/** Levels of a model. */
export const mostLevels = 2 ** 10
/** Rows of a dataset: row numbers are 32-bit integers. */
export const mostRows = 2 ** 31 - 1
/** Items of all lists of a column together: offsets are 32-bit integers. */
export const mostItems = 2 ** 31 - 1
