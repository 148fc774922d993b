// How large things may be: what a program can express (native/engine/program.h), and of things that are listed one by one far
// more than is of use. Options have these bounds, so that an error names the option. Whether what they make together fits in
// memory is another question.

/** Numbers in one row of any buffer: of a layer, an embedding, a padded list. */
export const largestWidth = 2 ** 24
/** Rows of an embedding table: ids are 32-bit integers. */
export const mostTableRows = 2 ** 31
/** Experts of a level, of all tasks together. */
export const mostExperts = 2 ** 12
/** Entries of any list of a topology. */
export const longestList = 2 ** 16
/** What gates see, of all gates of all levels together. */
export const mostSeats = 2 ** 20
/** Tensors of a model; ops and buffers of a program (native/engine/program.h). */
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
/** Items of all lists of a column together: so are their offsets. */
export const mostItems = 2 ** 31 - 1
